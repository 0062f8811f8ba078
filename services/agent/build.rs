//! Compiles the agent's contract. protox parses it, so that no protoc binary is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const ROOT: &str = "../../proto";
    const FILES: [&str; 2] = ["paddock/agent/v1/agent.proto", "paddock/agent/v1/file.proto"];
    for file in FILES {
        println!("cargo:rerun-if-changed={ROOT}/{file}");
    }
    let descriptors = protox::compile(FILES, [ROOT])?;
    tonic_prost_build::configure().build_client(true).build_transport(false).bytes(".").compile_fds(descriptors)?;
    Ok(())
}
