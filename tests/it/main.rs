//! Integration tests, one binary.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod accounts;
mod admin;
mod admin_port;
mod certificates;
mod codes;
mod completions;
mod config;
mod console;
mod console_alerts;
mod console_forms;
mod demo;
mod doctor;
mod drain;
mod golden;
mod hostile;
mod metadata;
mod mqadmin;
mod node;
mod pair;
mod protocol;
mod roles;
mod shipped;
mod support;
mod tidy;
