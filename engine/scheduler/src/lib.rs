//! The verbs of Rebar: plan, decide, verdict; pure functions over the model
