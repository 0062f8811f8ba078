//! The contract's messages and services, generated from `proto/paddock/agent/v1/agent.proto`.
#![allow(clippy::all, dead_code)]

tonic::include_proto!("paddock.agent.v1");
