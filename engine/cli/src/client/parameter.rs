//! The routes of parameters.

use rebar_api::types::{ParameterView, SetParameter};
use rebar_model::{Ident, ParameterScope};
use reqwest::Method;

use super::{ANSWER, Client};
use crate::failure::Failure;

impl Client {
    /// All parameters that people set, or those of one level.
    pub async fn parameters(&self, scope: Option<&ParameterScope>) -> Result<Vec<ParameterView>, Failure> {
        let query: Vec<_> = scope.map(|it| ("scope", it.to_string())).into_iter().collect();
        self.all(&["parameters"], &query).await
    }

    /// Sets a parameter.
    pub async fn set_parameter(
        &self,
        scope: &ParameterScope,
        name: &Ident,
        value: &SetParameter,
    ) -> Result<ParameterView, Failure> {
        let request = self.request(Method::PUT, &path(&scope.to_string(), name));
        self.take(request.json(value).timeout(ANSWER)).await
    }

    /// Unsets a parameter.
    pub async fn unset_parameter(&self, scope: &ParameterScope, name: &Ident) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, &path(&scope.to_string(), name));
        self.send(request.timeout(ANSWER)).await.map(drop)
    }
}

/// `parameters/global/NAME`, `parameters/node/n1/NAME`: the level `global` has one segment, all others two.
fn path<'a>(scope: &'a str, name: &'a Ident) -> Vec<&'a str> {
    ["parameters"].into_iter().chain(scope.split('/')).chain([name.as_str()]).collect()
}
