//! Carrying out one check: a TCP connection, or a request on top. What follows from the result is in `service.rs`.

use std::time::Duration;

use tokio::{net::TcpStream, time::timeout};

use super::{http, target::Target};
use crate::checks::plain;

/// Carries out one check; says what went wrong.
pub(crate) async fn check(target: &Target, patience: Duration) -> Result<(), String> {
    let attempt = async {
        match target {
            Target::Tcp(address) => {
                TcpStream::connect(address).await.map_err(|error| plain(&error))?;
                Ok(())
            }
            Target::Http(target) => Box::pin(http::get(target, patience)).await,
        }
    };
    timeout(patience, attempt).await.unwrap_or_else(|_| Err(format!("no answer within {patience:?}")))
}
