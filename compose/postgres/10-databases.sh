#!/bin/bash
# Run once, by the Postgres image, when the volume is empty: a database and a user for each service. A service owns its
# database and can't connect to the other one, and the limit leaves connections (100 in all) for the other service.
set -euo pipefail

create() { # user and database, password
  psql -v ON_ERROR_STOP=1 -v name="$1" -v password="$2" --no-psqlrc --quiet <<'SQL'
create role :"name" login password :'password' connection limit 45;
create database :"name" owner :"name";
revoke all on database :"name" from public;
SQL
}
export PGUSER=${POSTGRES_USER:-postgres} PGDATABASE=postgres
create orders "$ORDERS_DATABASE_PASSWORD"
create inventory "$INVENTORY_DATABASE_PASSWORD"
