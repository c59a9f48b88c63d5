# Images of the platform: order-svc, inventory-svc and orderctl from one build, and stack-check for tests/compose.
#
#   docker build --target order-svc --tag order-platform/order-svc .
#
# Nothing in it is bound to a processor: built on (or, with an emulator, for) arm64 it makes images for arm64. What a
# build needs besides these two images comes from the crates' registry, as Cargo.lock says.
ARG RUST_IMAGE=rust:1.95-bookworm
# Of the same Debian, for its libc. Without a shell, and not run by root.
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# All manifests, and in place of each source file that Cargo asks for one with nothing in it. What is copied from here
# changes only when a dependency does, so the next stage is not built again for a change of the sources.
FROM ${RUST_IMAGE} AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path './.cargo/*' \
      ! -path '*/src/lib.rs' ! -path '*/src/main.rs' ! -path '*/src/bin/*.rs' ! -name build.rs -delete \
    && for file in $(find . -name '*.rs'); do echo 'fn main() {}' > "$file"; done \
    && find . -name lib.rs -exec truncate --size 0 {} + \
    && find . -type d -empty -delete

FROM ${RUST_IMAGE} AS dependencies
WORKDIR /src
COPY --from=manifests /src .
# Every build compiles everything once, and has no use for what a next one could go on with.
ENV CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    cargo build --release --locked --package order-svc --package inventory-svc --package orderctl

FROM dependencies AS build
COPY . .
# Cargo compares times, and the sources are older than what was compiled from the empty files.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --package order-svc --package inventory-svc --package orderctl \
    && mkdir /out && cp target/release/order-svc target/release/inventory-svc target/release/orderctl /out/

# Only tests/compose asks for it.
FROM build AS build-stack-check
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    cargo build --release --locked --package tests --no-default-features --bin stack-check \
    && cp target/release/stack-check /out/

FROM ${RUNTIME_IMAGE} AS base
ARG VERSION=development
ARG REVISION=unknown
LABEL org.opencontainers.image.vendor="order-platform" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
STOPSIGNAL SIGTERM

FROM base AS order-svc
LABEL org.opencontainers.image.title="order-svc" \
      org.opencontainers.image.description="Takes orders and owns their life cycle"
COPY --from=build /out/order-svc /usr/local/bin/order-svc
EXPOSE 50051 9464
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 CMD ["/usr/local/bin/order-svc", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/order-svc"]

FROM base AS inventory-svc
LABEL org.opencontainers.image.title="inventory-svc" \
      org.opencontainers.image.description="Owns the stock and promises it to orders"
COPY --from=build /out/inventory-svc /usr/local/bin/inventory-svc
EXPOSE 50052 9465
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 CMD ["/usr/local/bin/inventory-svc", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/inventory-svc"]

FROM base AS orderctl
LABEL org.opencontainers.image.title="orderctl" \
      org.opencontainers.image.description="The command line of the order platform"
COPY --from=build /out/orderctl /usr/local/bin/orderctl
ENTRYPOINT ["/usr/local/bin/orderctl"]

FROM base AS stack-check
LABEL org.opencontainers.image.title="stack-check" \
      org.opencontainers.image.description="Looks from inside whether a platform in containers keeps its promises"
COPY --from=build-stack-check /out/stack-check /usr/local/bin/stack-check
ENTRYPOINT ["/usr/local/bin/stack-check"]
