//! The name server: which brokers serve which topics. Contract section 2.

mod config_text;
mod kv_config;
mod route_table;
