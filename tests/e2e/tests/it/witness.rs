//! The witness of a storm: roles that write down what they do, and a comparison of that with what the engine says. It knows nothing of
//! how the engine or the agents work.

use std::collections::{BTreeMap, BTreeSet};

use rebar_e2e::House;
use serde_json::Value;

use crate::marks::{Role, marks};

/// A role that says when it ends, whether another of its node-role is there at the same time, and which attempt its input is of. Some
/// attempts ask to be tried again.
pub fn role(name: &str, after: Option<&str>) -> Role {
    let saw =
        if after.is_some() { "echo \"saw $me $REBAR_ATTEMPT $(rebar-input before)\" >> \"$dir/marks\"\n" } else { "" };
    let body = format!(
        "me={name}@$node\nexec 9>> \"$dir/lock-$me\"\n\
         flock --nonblock 9 || echo \"overlap $me $REBAR_ATTEMPT\" >> \"$dir/marks\"\n{saw}\
         sleep 0.$((REBAR_ATTEMPT * 37 % 6 + 1))\n\
         if [ $((REBAR_ATTEMPT % 5)) = 0 ]; then echo \"again $me $REBAR_ATTEMPT\" >> \"$dir/marks\"; exit 75; fi\n\
         echo \"end $me $REBAR_ATTEMPT\" >> \"$dir/marks\""
    );
    let mut role = Role::new(name, after, &body);
    role.extra = "      retries: {max: 9, initial: 100ms, factor: 1}\n".into();
    role.mark = "\"$me/$REBAR_ATTEMPT\"".into();
    role
}

/// What the engine says in the end.
#[derive(Debug, Default)]
pub struct Said {
    /// The node-role of each attempt, and how it ended; more than one end is one too many.
    attempts: BTreeMap<u64, (String, Vec<String>)>,
    /// The attempt of each node-role's last success, and its output.
    last: BTreeMap<String, (u64, String)>,
}

impl Said {
    /// Everything that it committed.
    pub fn of(house: &House) -> Self {
        let events = house.rebar(&["events", "--since", "0", "-o", "ndjson"]).ok();
        let mut said = Self::default();
        for line in events.out.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            said.hear(&event["change"]);
        }
        said
    }

    fn hear(&mut self, change: &Value) {
        let id = |it: &Value| it.as_str().unwrap().trim_start_matches("demo/").to_owned();
        match change["change"].as_str() {
            Some("attempt-put") => {
                let attempt = &change["attempt"];
                let number = attempt["id"].as_u64().unwrap();
                let entry = self.attempts.entry(number).or_insert_with(|| (id(&attempt["node_role"]), Vec::new()));
                let outcome = &attempt["outcome"];
                if !outcome.is_null() {
                    let how = outcome["kind"].as_str().or(outcome["result"].as_str());
                    entry.1.push(how.unwrap_or_default().to_owned());
                }
            }
            Some("node-role-moved") => {
                let last = &change["status"]["last"];
                if let Some(number) = last["attempt"].as_u64() {
                    let output = last["outputs"]["mark"].as_str().unwrap_or_default();
                    self.last.insert(id(&change["id"]), (number, output.to_owned()));
                }
            }
            _ => {}
        }
    }
}

/// What the marks of one attempt say.
#[derive(Debug, Default)]
struct Seen {
    began: usize,
    ended: usize,
    again: usize,
}

/// Asserts that nothing was lost and nothing doubled: that each of these node-roles succeeded so often, in an order in which each could.
/// One engine is asked; the marks may be in the house of another.
#[track_caller]
pub fn assert_whole(asked: &House, marked: &House, node_roles: &[String], times: usize) {
    let marks = marks(marked);
    let found = findings(&marks, &Said::of(asked), node_roles, times);
    assert!(found.is_empty(), "{}\n--- marks:\n{}", found.join("\n"), marks.join("\n"));
}

fn findings(marks: &[String], said: &Said, node_roles: &[String], times: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut attempts: BTreeMap<(u64, &str), Seen> = BTreeMap::new();
    let mut open: BTreeMap<&str, u64> = BTreeMap::new();
    let mut ends: Vec<(&str, u64)> = Vec::new();
    for mark in marks {
        let words: Vec<_> = mark.split(' ').collect();
        let (word, id) = (words[0], words[1]);
        let number: u64 = words[2].parse().unwrap();
        let seen = attempts.entry((number, id)).or_default();
        match word {
            "apply" => {
                seen.began += 1;
                if let Some(other) = open.insert(id, number) {
                    found.push(format!("{id}: attempt {number} began before attempt {other} ended"));
                }
            }
            "saw" => {
                let is_there = ends.iter().any(|(id, number)| words[3] == format!("{id}/{number}"));
                if !is_there {
                    found.push(format!("{id}: attempt {number} began before its input {} was there", words[3]));
                }
            }
            "end" | "again" => {
                if open.remove(id) != Some(number) {
                    found.push(format!("{id}: attempt {number} ended and had not begun"));
                }
                if word == "end" {
                    seen.ended += 1;
                    ends.push((id, number));
                } else {
                    seen.again += 1;
                }
            }
            _ => found.push(format!("a mark that says that something is wrong: {mark}")),
        }
    }
    found.extend(open.iter().map(|(id, number)| format!("{id}: attempt {number} never ended")));
    for ((number, id), seen) in &attempts {
        if seen.began != 1 || seen.ended + seen.again != 1 {
            found.push(format!("{id}: attempt {number} began or ended more than once, or never: {seen:?}"));
        }
    }
    found.extend(differences(&attempts, said));
    for id in node_roles {
        let mine: Vec<_> = ends.iter().filter(|(it, _)| it == id).map(|(_, number)| *number).collect();
        if mine.len() != times {
            found.push(format!("{id} succeeded {} times, not {times}: {mine:?}", mine.len()));
        }
        let last = mine.last().map(|number| (*number, format!("{id}/{number}")));
        if said.last.get(id) != last.as_ref() {
            found.push(format!("{id}: its last success is {last:?}, the engine says {:?}", said.last.get(id)));
        }
    }
    found
}

/// What the engine says otherwise than the marks.
fn differences(attempts: &BTreeMap<(u64, &str), Seen>, said: &Said) -> Vec<String> {
    let mut found = Vec::new();
    for (number, (id, outcomes)) in &said.attempts {
        let expected = match attempts.get(&(*number, id.as_str())) {
            Some(seen) if seen.ended == 1 => "succeeded",
            Some(seen) if seen.again == 1 => "tempfail",
            Some(_) => "an end",
            None => "nothing, for it never ran",
        };
        if outcomes.as_slice() != [expected] {
            found.push(format!("{id}: attempt {number} did {expected}, the engine says {outcomes:?}"));
        }
    }
    let known: BTreeSet<_> = said.attempts.iter().map(|(number, (id, _))| (*number, id.as_str())).collect();
    let unknown = attempts.keys().filter(|it| !known.contains(*it));
    found.extend(unknown.map(|(number, id)| format!("{id}: attempt {number} is not known to the engine")));
    found
}

/// One node-role that ran once, and everything that could be wrong about it.
#[test]
fn the_witness_notices() {
    let lines = |text: &str| text.split(", ").map(str::to_owned).collect::<Vec<_>>();
    let said = |outcomes: &[&str]| Said {
        attempts: BTreeMap::from([(1, ("a@n".to_owned(), outcomes.iter().map(|it| (*it).to_owned()).collect()))]),
        last: BTreeMap::from([("a@n".to_owned(), (1, "a@n/1".to_owned()))]),
    };
    let node_roles = ["a@n".to_owned()];
    let good = findings(&lines("apply a@n 1, end a@n 1"), &said(&["succeeded"]), &node_roles, 1);
    assert!(good.is_empty(), "{good:?}");
    let cases = [
        ("apply a@n 1, apply a@n 1, end a@n 1", "succeeded", "more than once"),
        ("apply a@n 1, end a@n 1, apply a@n 1, end a@n 1", "succeeded", "more than once"),
        ("apply a@n 1", "succeeded", "never ended"),
        ("end a@n 1", "succeeded", "had not begun"),
        ("apply a@n 1, overlap a@n 1, end a@n 1", "succeeded", "something is wrong"),
        ("apply a@n 1, saw a@n 1 b@n/7, end a@n 1", "succeeded", "before its input"),
        ("apply a@n 1, end a@n 1", "tempfail", "the engine says"),
        ("apply a@n 1, end a@n 1, apply a@n 2, end a@n 2", "succeeded", "not known to the engine"),
        ("apply a@n 1, apply a@n 2, end a@n 1, end a@n 2", "succeeded", "began before attempt 1 ended"),
    ];
    for (marks, outcome, expected) in cases {
        let found = findings(&lines(marks), &said(&[outcome]), &node_roles, 1);
        assert!(found.iter().any(|it| it.contains(expected)), "{marks}: {found:?}");
    }
    let twice = findings(&lines("apply a@n 1, end a@n 1"), &said(&["succeeded", "succeeded"]), &node_roles, 1);
    assert!(twice.iter().any(|it| it.contains("the engine says")), "{twice:?}");
    let lost = findings(&[], &said(&["succeeded"]), &node_roles, 1);
    assert!(lost.iter().any(|it| it.contains("never ran")), "{lost:?}");
}
