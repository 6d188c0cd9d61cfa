//! The operators' HTTPS door: REST, events, OpenAPI
