//! Which gRPC code an error of the engine gets. The texts are for the operator of the machine; secrets are in none of them.

use rebar_ports::{AuthorityError, DoorError};
use tonic::Status;

/// The answer to what the engine did not want to do.
pub(crate) fn of_door(error: &DoorError) -> Status {
    let text = error.to_string();
    match error {
        DoorError::UnknownToken | DoorError::UnknownNode(_) => Status::permission_denied(text),
        DoorError::UsedToken | DoorError::ExpiredToken => Status::failed_precondition(text),
        DoorError::Fenced { .. } => Status::aborted(text),
        DoorError::Unavailable(_) => Status::unavailable(text),
    }
}

/// The answer to a certificate that was not made. What went wrong inside is for the engine's own log.
pub(crate) fn of_authority(error: &AuthorityError) -> Status {
    match error {
        AuthorityError::BadRequest(_) => Status::invalid_argument(error.to_string()),
        AuthorityError::Failed(_) => Status::internal("the engine could not make a certificate; see its log"),
        AuthorityError::Store(_) => Status::unavailable("the engine's store is not available"),
    }
}

#[cfg(test)]
mod tests {
    use rebar_model::{Epoch, NodeName};
    use tonic::Code;

    use super::*;

    #[test]
    fn every_refusal_has_its_code() {
        let fenced = DoorError::Fenced { ours: Epoch(1), theirs: Epoch(2) };
        for (error, code) in [
            (DoorError::UnknownToken, Code::PermissionDenied),
            (DoorError::UsedToken, Code::FailedPrecondition),
            (DoorError::ExpiredToken, Code::FailedPrecondition),
            (DoorError::UnknownNode(NodeName::new("n1").unwrap()), Code::PermissionDenied),
            (fenced, Code::Aborted),
            (DoorError::Unavailable("stopping".into()), Code::Unavailable),
        ] {
            assert_eq!(of_door(&error).code(), code, "{error}");
        }
        assert_eq!(of_authority(&AuthorityError::BadRequest("x".into())).code(), Code::InvalidArgument);
        let failed = of_authority(&AuthorityError::Failed("inside".into()));
        assert_eq!(failed.code(), Code::Internal);
        assert!(!failed.message().contains("inside"));
    }
}
