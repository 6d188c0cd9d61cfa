//! The routes of operators' tokens.

use rebar_api::types::{CreateToken, CreatedToken, TokenView};
use reqwest::Method;

use super::{ANSWER, Client};
use crate::failure::Failure;

impl Client {
    /// All tokens, without themselves.
    pub async fn tokens(&self) -> Result<Vec<TokenView>, Failure> {
        self.all(&["tokens"], &[]).await
    }

    /// Makes a token.
    pub async fn create_token(&self, request: &CreateToken) -> Result<CreatedToken, Failure> {
        self.post(&["tokens"], request).await
    }

    /// Takes a token back, by its hash.
    pub async fn remove_token(&self, id: &str) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, &["tokens", id]).timeout(ANSWER)).await.map(drop)
    }
}
