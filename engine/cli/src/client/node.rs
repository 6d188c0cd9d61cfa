//! The routes of nodes.

use rebar_api::types::{AddNodeRequest, AddedNodeView, ChangeNode, EnrolmentView, NodeView, RemoveNodeQuery};
use rebar_model::NodeName;
use reqwest::Method;

use super::{ANSWER, Client, LONG_ANSWER};
use crate::failure::Failure;

impl Client {
    /// All nodes, or those with some labels.
    pub async fn nodes(&self, label: Option<&str>) -> Result<Vec<NodeView>, Failure> {
        let query: Vec<_> = label.map(|it| ("label", it.to_owned())).into_iter().collect();
        self.all(&["nodes"], &query).await
    }

    /// One node.
    pub async fn node(&self, name: &NodeName) -> Result<NodeView, Failure> {
        self.get(&["nodes", name.as_str()]).await
    }

    /// Takes a machine under care; the engine may have to make it first.
    pub async fn add_node(&self, request: &AddNodeRequest) -> Result<AddedNodeView, Failure> {
        self.take(self.request(Method::POST, &["nodes"]).json(request).timeout(LONG_ANSWER)).await
    }

    /// Changes a node.
    pub async fn change_node(&self, name: &NodeName, change: &ChangeNode) -> Result<NodeView, Failure> {
        self.take(self.request(Method::PATCH, &["nodes", name.as_str()]).json(change).timeout(ANSWER)).await
    }

    /// Forgets a node, and destroys its machine where the engine made it.
    pub async fn remove_node(&self, name: &NodeName, query: RemoveNodeQuery) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, &["nodes", name.as_str()]).query(&query);
        self.send(request.timeout(LONG_ANSWER)).await.map(drop)
    }

    /// Makes a new enrolment token for a node.
    pub async fn node_token(&self, name: &NodeName) -> Result<EnrolmentView, Failure> {
        self.take(self.request(Method::POST, &["nodes", name.as_str(), "token"]).timeout(ANSWER)).await
    }
}
