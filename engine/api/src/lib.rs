//! The operators' HTTPS door: REST, events, problems, OpenAPI. It looks and asks through the orchestrator's handle and decides
//! nothing itself. What it says and hears is in [`types`], and how it says it in [`words`]; clients share both.

mod address;
mod app;
mod error;
mod explain;
mod extract;
mod guard;
mod inside;
mod labels;
mod limits;
mod mask;
mod news;
mod openapi;
mod outputs;
mod paging;
mod routes;
mod secrets;
mod serve;
mod status;
mod summary;
mod survey;
mod tls;
pub mod types;
pub mod words;

pub use inside::{Inside, Pieces};
pub use limits::AWAY_GRACE;
pub use openapi::openapi;
pub use serve::{Config, ServeError, serve};
pub use tls::TlsError;
