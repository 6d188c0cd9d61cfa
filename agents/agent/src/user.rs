//! The users of this machine, from /etc/passwd and /etc/group, and becoming one of them.

use std::{fs, os::unix::process::CommandExt, process::Command};

use rustix::process::{Gid, Uid};

use crate::error::{Context, Error};

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The number of the first group.
    pub gid: u32,
    /// The home directory.
    pub home: String,
}

/// Finds a user by name, or by number.
pub fn find(name: &str) -> Result<User, Error> {
    let path = "/etc/passwd";
    let text = fs::read_to_string(path).at(path)?;
    text.lines()
        .filter_map(parse)
        .find(|user| user.name == name || user.uid.to_string() == name)
        .ok_or_else(|| Error::Setup(format!("there is no user {name:?} on this machine")))
}

/// The user that this process runs as.
pub fn current() -> User {
    let uid = rustix::process::geteuid().as_raw();
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    known.lines().filter_map(parse).find(|user| user.uid == uid).unwrap_or_else(|| User {
        name: uid.to_string(),
        uid,
        gid: rustix::process::getegid().as_raw(),
        home: "/".to_owned(),
    })
}

/// Becomes another user and then another program; returns only when that fails.
pub fn run_as(name: &str, program: &str, arguments: &[String]) -> Result<(), Error> {
    let user = find(name)?;
    let groups: Vec<Gid> = groups(&user).into_iter().map(Gid::from_raw).collect();
    let refused = |error: rustix::io::Errno| Error::Setup(format!("cannot become {name}: {error}"));
    rustix::thread::set_thread_groups(&groups).map_err(refused)?;
    rustix::thread::set_thread_gid(Gid::from_raw(user.gid)).map_err(refused)?;
    rustix::thread::set_thread_uid(Uid::from_raw(user.uid)).map_err(refused)?;
    Err(Command::new(program).args(arguments).exec()).at(program)
}

fn parse(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1)?.to_owned();
    Some(User { name, uid, gid, home })
}

/// All groups of a user.
fn groups(user: &User) -> Vec<u32> {
    let text = fs::read_to_string("/etc/group").unwrap_or_default();
    let mut groups = vec![user.gid];
    for line in text.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if let [_, _, gid, members] = fields.as_slice()
            && members.split(',').any(|member| member == user.name)
            && let Ok(gid) = gid.parse()
        {
            groups.push(gid);
        }
    }
    groups
}
