//! The gateway: everything about Envoy in front of ticket-service that is made, not written by hand. The contracts' HTTP
//! bindings ([`bindings`]) become what strict JSON is checked against ([`shapes`]) and the OpenAPI document ([`openapi`]);
//! `deploy/envoy/envoy.yaml` becomes the configuration of one gateway ([`render`]).

pub mod bindings;
pub mod files;
pub mod local_replies;
pub mod openapi;
pub mod pages;
pub mod probe;
pub mod render;
pub mod settings;
pub mod shapes;
