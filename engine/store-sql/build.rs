//! Says that new migrations are a reason to compile again; the ones that are there are tracked already.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
