//! Keeps Stripe's events whose amount is worth acting on, and writes the amount in
//! the currency's major unit, which Stripe's integers don't tell by themselves.
use weir::{config, fail, Message, Result};

weir::init!(check);
weir::filter!(keep);
weir::transform!(add_decimal);

/// Where the amount is, in the order in which they are looked for: a charge, payment
/// intent, payout or refund; a checkout session; an invoice.
const AMOUNTS: [&str; 4] = ["amount", "amount_total", "amount_paid", "total"];

/// Currencies that have no minor unit, and those whose minor unit is a thousandth.
const WHOLE: &str = "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf";
const THOUSANDTHS: &str = "bhd jod kwd omr tnd";

fn check() -> Result<()> {
    match config().get("min") {
        Some(min) if min.items().any(|(_, amount)| amount.float() > 0.0) => Ok(()),
        _ => fail!("config: min says the least amount of each currency, such as {{\"usd\": 50, \"jpy\": 5000}}"),
    }
}

/// The amount in the currency's minor unit, and the currency.
fn amount(m: &Message) -> Option<(i64, String)> {
    let object = m.get("data.object")?;
    let amount = AMOUNTS.iter().find_map(|name| object.get(name)).map(|v| v.int())?;
    let currency = object.get("currency")?.string().to_lowercase();
    Some((amount, currency))
}

fn decimals(currency: &str) -> u32 {
    let has = |list: &str| list.split(' ').any(|c| c == currency);
    match currency {
        c if has(WHOLE) || c.is_empty() => 0,
        _ if has(THOUSANDTHS) => 3,
        _ => 2,
    }
}

/// Events without an amount have nothing to do with money: they are dropped.
fn keep(m: &Message) -> bool {
    let (amount, currency) = match amount(m) {
        Some(found) => found,
        None => return false,
    };
    match config().get("min").and_then(|min| min.get(&currency).map(|v| v.float())) {
        Some(least) => amount as f64 >= least * 10f64.powi(decimals(&currency) as i32),
        None => false, // a currency that nobody set a least amount for
    }
}

fn add_decimal(m: &mut Message) -> Result<()> {
    if let Some((amount, currency)) = amount(m) {
        m.set("data.object.amount_decimal", decimal(amount, decimals(&currency)))?;
    }
    Ok(())
}

/// 1234 with 2 decimals is 12.34.
fn decimal(amount: i64, decimals: u32) -> String {
    let unit = 10u64.pow(decimals);
    let sign = if amount < 0 { "-" } else { "" };
    let size = amount.unsigned_abs();
    match decimals {
        0 => format!("{}{}", sign, size),
        _ => format!("{}{}.{:0width$}", sign, size / unit, size % unit, width = decimals as usize),
    }
}
