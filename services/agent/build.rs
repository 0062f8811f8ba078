//! Compiles the agent's contract. protox parses it, so that no protoc binary is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const ROOT: &str = "../../proto";
    const FILE: &str = "paddock/agent/v1/agent.proto";
    println!("cargo:rerun-if-changed={ROOT}/{FILE}");
    let descriptors = protox::compile([FILE], [ROOT])?;
    tonic_prost_build::configure().build_client(true).build_transport(false).bytes(".").compile_fds(descriptors)?;
    Ok(())
}
