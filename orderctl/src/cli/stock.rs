//! `orderctl stock …`: what the inventory holds.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::inventory::v1::{GetStockRequest, ListStockRequest, StockItem};
use tonic::transport::Channel;

use super::{CallOptions, import};
use crate::client::{self, Address};
use crate::failure::CallFailed;
use crate::json::{StockItemJson, StockJson};
use crate::{output, render};

/// The most that the contract allows.
const PAGE_SIZE: i32 = 500;

/// Read and import stock
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orderctl stock list
  orderctl stock get KETTLE-17L-STEEL
  orderctl stock import delivery.csv")]
pub(crate) struct StockArguments {
    /// Where the inventory service listens
    #[arg(long, global = true, env = "INVENTORY_ADDRESS", default_value = "http://127.0.0.1:50052")]
    address: Address,
    #[command(flatten)]
    options: CallOptions,
    #[command(subcommand)]
    command: StockCommand,
}

#[derive(Debug, Subcommand)]
enum StockCommand {
    /// List all items, by SKU
    #[command(
        after_help = "Example:\n  orderctl stock list --json | jq '.items[] | select(.available == \"0\") | .sku'"
    )]
    List,
    /// Show an item
    #[command(after_help = "Example:\n  orderctl stock get KETTLE-17L-STEEL")]
    Get {
        /// The item's SKU
        sku: String,
    },
    /// Create items and add stock from a CSV file; exit code 1 if a row was bad
    #[command(after_help = "\
Example:
  orderctl stock import delivery.csv

The file starts with the line sku,name,unit_price,currency,quantity. quantity is added to what is
there (negative takes away); an empty name or price leaves what is there. Bad rows are reported and
left out. Importing an unchanged file again adds nothing: its import id is a hash of its contents.")]
    Import {
        /// The CSV file
        file: PathBuf,
        /// What makes this import the same as an earlier one [default: a hash of the file's contents]
        #[arg(long, value_name = "ID")]
        import_id: Option<String>,
    },
}

impl StockArguments {
    /// Runs the command and prints its answer.
    ///
    /// # Errors
    /// The call failed, the file can't be read, or standard output can't be written.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { address, options, command } = self;
        match command {
            StockCommand::List => list(&address, &options).await,
            StockCommand::Get { sku } => get(&address, &options, sku).await,
            StockCommand::Import { file, import_id } => import::run(&address, &options, &file, import_id).await,
        }
    }
}

async fn list(address: &Address, options: &CallOptions) -> anyhow::Result<ExitCode> {
    let mut client = InventoryServiceClient::new(client::connect(address).await?);
    let items = all_items(&mut client, address, options).await?;
    if options.json {
        output::print_json(&StockJson { items: items.into_iter().map(StockItemJson::from).collect() })?;
    } else if items.is_empty() {
        output::print("no items; `orderctl stock import FILE` creates some")?;
    } else {
        output::print(&render::stock(&items))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn all_items(
    client: &mut InventoryServiceClient<Channel>,
    address: &Address,
    options: &CallOptions,
) -> Result<Vec<StockItem>, CallFailed> {
    let mut items = Vec::new();
    let mut page_token = String::new();
    loop {
        let message = ListStockRequest { page_size: PAGE_SIZE, page_token };
        let response = client.list_stock(client::request(message, options.call_timeout())).await;
        let page = response.map_err(|status| CallFailed::new("ListStock", address, status))?.into_inner();
        items.extend(page.items);
        if page.next_page_token.is_empty() {
            return Ok(items);
        }
        page_token = page.next_page_token;
    }
}

async fn get(address: &Address, options: &CallOptions, sku: String) -> anyhow::Result<ExitCode> {
    let mut client = InventoryServiceClient::new(client::connect(address).await?);
    let response = client.get_stock(client::request(GetStockRequest { sku }, options.call_timeout())).await;
    let item = response.map_err(|status| CallFailed::new("GetStock", address, status))?.into_inner().item;
    let item = item.unwrap_or_default();
    if options.json {
        output::print_json(&StockItemJson::from(item))?;
    } else {
        output::print(&render::stock(&[item]))?;
    }
    Ok(ExitCode::SUCCESS)
}
