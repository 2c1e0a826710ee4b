//! The executable: runs the command line and turns its result into an exit code.

fn main() -> std::process::ExitCode {
    rmq_node::cli::main()
}
