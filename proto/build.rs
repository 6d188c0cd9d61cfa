//! Compiles the protocol with protox, so that no `protoc` has to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=rebar/agent/v1/agent.proto");
    let descriptors = protox::compile(["rebar/agent/v1/agent.proto"], ["."])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
