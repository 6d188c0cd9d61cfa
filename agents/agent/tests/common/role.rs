//! Roles for tests: archives made of a few files, and orders to run them.

use std::time::Duration;

use rebar_proto::v1::{Dispatch, Phase, PhaseWork};

/// A tar archive of these files, and its digest.
pub fn archive(files: &[(&str, &str)]) -> (String, Vec<u8>) {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, name, text.as_bytes()).expect("file");
    }
    let bytes = builder.into_inner().expect("archive");
    (blake3::hash(&bytes).to_hex().to_string(), bytes)
}

/// One phase.
pub fn phase(phase: Phase, run: &str) -> PhaseWork {
    let timeout = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    PhaseWork { phase: phase.into(), run: run.to_owned(), timeout, ..PhaseWork::default() }
}

/// A duration on the wire.
pub fn wire(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}

/// An order to run these phases of a role that is nobody's neighbour.
pub fn dispatch(attempt: u64, content: &str, phases: Vec<PhaseWork>) -> Dispatch {
    Dispatch {
        attempt,
        epoch: 1,
        node_role: format!("demo/role-{attempt}@node-1"),
        content: content.to_owned(),
        phases,
        inputs_json: "{}".to_owned(),
        ..Dispatch::default()
    }
}
