//! What can go wrong at this door, and the problem that people get for it. Codes below RB4000 are those of the refusals of the
//! scheduler and the linter; which HTTP status an error has is decided here and nowhere else.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rebar_manifest::{Diagnostic, PackageError, Severity};
use rebar_model::RoleName;
use rebar_orchestrator::{EngineError, ImportError, ReleaseError};
use rebar_ports::{ProviderError, StoreError};
use rebar_scheduler::{PlanError, Refusal};

use crate::types::{Problem, ProblemItem};

/// Where the pages about errors are.
const PAGES: &str = "https://rebar.dev/docs/errors/";

/// What can go wrong at this door.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("this needs the header `Authorization: Bearer TOKEN` with a token that this engine knows")]
    NoToken,
    #[error("{0}")]
    Malformed(String),
    #[error("there is nothing at {0}")]
    NoRoute(String),
    #[error("{method} does not go with {path}")]
    NoMethod { method: String, path: String },
    #[error("the body is larger than allowed")]
    TooLarge,
    #[error("the body has to be JSON, with the header `Content-Type: application/json`")]
    NotJson,
    #[error("the engine answers as many requests as it can")]
    Busy,
    #[error("the engine took too long; what was asked may still happen")]
    TooLong,
    #[error("the deployment changed: its version is {current} now")]
    Moved { current: String },
    #[error("the package has {} mistakes", .0.iter().filter(|it| it.is_error()).count())]
    Lint(Vec<Diagnostic>),
    #[error(transparent)]
    Package(PackageError),
    #[error(transparent)]
    Release(ReleaseError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the value holds a reference to a secret, which only the engine may write")]
    SecretReference,
    #[error("`{name}` could be any of {candidates}; say which")]
    Ambiguous { name: String, candidates: String },
    #[error("something in the engine went wrong; its log says what")]
    Broken,
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Engine(EngineError::Store(error))
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Engine(EngineError::Refused(refusal))
    }
}

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Lint(diagnostics) => Self::Lint(diagnostics),
            ImportError::Package(error) => Self::Package(error),
            ImportError::Engine(error) => Self::Engine(error),
        }
    }
}

impl From<ReleaseError> for ApiError {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Engine(error) => Self::Engine(error),
            error => Self::Release(error),
        }
    }
}

/// What people are told about a kind of error.
struct Kind {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    hint: Option<String>,
}

fn kind(status: StatusCode, code: &'static str, title: &'static str) -> Kind {
    Kind { status, code, title, hint: None }
}

impl Kind {
    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl ApiError {
    /// There is no such thing.
    pub fn not_found(kind: &'static str, name: impl std::fmt::Display) -> Self {
        Refusal::NotFound { kind, name: name.to_string() }.into()
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NoToken => kind(StatusCode::UNAUTHORIZED, "RB4001", "no valid token")
                .hint("rebar login, or set REBAR_TOKEN; an operator makes tokens with `rebar token create`"),
            Self::Malformed(_) => kind(StatusCode::BAD_REQUEST, "RB4002", "malformed request"),
            Self::NoRoute(_) => kind(StatusCode::NOT_FOUND, "RB4003", "no such address")
                .hint("GET /api/v1/openapi.json lists what there is"),
            Self::NoMethod { .. } => kind(StatusCode::METHOD_NOT_ALLOWED, "RB4004", "wrong method"),
            Self::TooLarge => kind(StatusCode::PAYLOAD_TOO_LARGE, "RB4005", "body too large"),
            Self::NotJson => kind(StatusCode::UNSUPPORTED_MEDIA_TYPE, "RB4006", "not JSON"),
            Self::Busy => kind(StatusCode::SERVICE_UNAVAILABLE, "RB4007", "engine busy").hint("ask again in a moment"),
            Self::TooLong => kind(StatusCode::GATEWAY_TIMEOUT, "RB4008", "took too long"),
            Self::Moved { .. } => kind(StatusCode::PRECONDITION_FAILED, "RB4009", "changed meanwhile")
                .hint("read it again, and decide again"),
            Self::Lint(_) => kind(StatusCode::UNPROCESSABLE_ENTITY, "RB4010", "the package has mistakes")
                .hint("rebar workload lint DIR"),
            Self::Package(_) => kind(StatusCode::UNPROCESSABLE_ENTITY, "RB4011", "not a package"),
            Self::Release(_) => {
                kind(StatusCode::UNPROCESSABLE_ENTITY, "RB4504", "not a release that this engine takes")
            }
            Self::SecretReference => kind(StatusCode::UNPROCESSABLE_ENTITY, "RB4017", "a reference is not a value"),
            Self::Broken => kind(StatusCode::INTERNAL_SERVER_ERROR, "RB4018", "mistake in the engine"),
            Self::Ambiguous { .. } => kind(StatusCode::UNPROCESSABLE_ENTITY, "RB4019", "ambiguous name"),
            Self::Engine(error) => engine(error),
        }
    }

    fn items(&self) -> Vec<ProblemItem> {
        match self {
            Self::Lint(diagnostics) => diagnostics.iter().map(diagnosed).collect(),
            Self::Engine(EngineError::Refused(Refusal::BadPlan(errors))) => errors.iter().map(planned).collect(),
            _ => Vec::new(),
        }
    }

    /// The record that people get.
    pub fn problem(&self) -> Problem {
        let Kind { status, code, title, hint } = self.kind();
        Problem {
            kind: format!("{PAGES}{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: self.to_string(),
            errors: self.items(),
            hint,
        }
    }
}

fn engine(error: &EngineError) -> Kind {
    match error {
        EngineError::Refused(refusal) => refused(refusal),
        EngineError::StandsBy => kind(StatusCode::SERVICE_UNAVAILABLE, "RB4030", "this engine stands by")
            .hint("ask the engine that leads; this one answers questions, and leads when that one is gone"),
        EngineError::Stopped | EngineError::NotDurable(_) => {
            kind(StatusCode::SERVICE_UNAVAILABLE, "RB4012", "engine not available")
                .hint("ask again in a moment; nothing that was answered with success is lost")
        }
        EngineError::NoDatabase(_) | EngineError::Store(StoreError::Unavailable(_)) => {
            kind(StatusCode::SERVICE_UNAVAILABLE, "RB4013", "database failed")
                .hint("look after the database; the engine goes on by itself when it can be used again")
        }
        EngineError::Store(_) => kind(StatusCode::INTERNAL_SERVER_ERROR, "RB4013", "database failed"),
        EngineError::Provider(ProviderError::BadOption { .. }) => {
            kind(StatusCode::UNPROCESSABLE_ENTITY, "RB4015", "wrong option of the provider")
        }
        EngineError::Provider(_) => kind(StatusCode::BAD_GATEWAY, "RB4014", "provider failed"),
        EngineError::NoProvider(_) => kind(StatusCode::UNPROCESSABLE_ENTITY, "RB4016", "no such provider"),
    }
}

fn refused(refusal: &Refusal) -> Kind {
    let of = |status, title| kind(status, refusal.code(), title);
    match refusal {
        Refusal::NotFound { .. } => of(StatusCode::NOT_FOUND, "not found"),
        Refusal::Exists { .. } => of(StatusCode::CONFLICT, "exists already"),
        Refusal::InUse { .. } => of(StatusCode::CONFLICT, "in use"),
        Refusal::BadPlan(_) => of(StatusCode::UNPROCESSABLE_ENTITY, "no plan can be made"),
        Refusal::StalePlan { deployment, .. } => {
            of(StatusCode::PRECONDITION_FAILED, "stale plan").hint(format!("rebar plan {deployment}"))
        }
        Refusal::NotGranted { roles } => {
            let flags: Vec<_> = roles.iter().map(|it| format!("--grant {it}")).collect();
            of(StatusCode::FORBIDDEN, "not granted").hint(format!("rebar apply … {}", flags.join(" ")))
        }
        Refusal::Protected { roles } => {
            let names: Vec<_> = roles.iter().map(RoleName::as_str).collect();
            of(StatusCode::FORBIDDEN, "protected")
                .hint(format!("say --allow-protected {}, if it is to go", names.join(",")))
        }
        Refusal::Busy { deployment, .. } => {
            of(StatusCode::CONFLICT, "deployment busy").hint(format!("rebar wait {deployment} --for settled"))
        }
        Refusal::NothingFailed { deployment } => {
            of(StatusCode::CONFLICT, "nothing failed").hint(format!("rebar explain {deployment}"))
        }
        Refusal::UpgradeRunning { .. } => {
            of(StatusCode::CONFLICT, "upgrade running").hint("rebar agent status; rebar agent stop ends it")
        }
        Refusal::NoUpgrade => of(StatusCode::CONFLICT, "no upgrade").hint("rebar agent status"),
        Refusal::NoBuild { .. } => {
            of(StatusCode::UNPROCESSABLE_ENTITY, "release incomplete").hint("rebar agent release import FILE")
        }
        Refusal::BadToken { .. } => of(StatusCode::FORBIDDEN, "bad token"),
        Refusal::NotYours { .. } => of(StatusCode::FORBIDDEN, "not yours"),
        Refusal::Illegal(_) => of(StatusCode::INTERNAL_SERVER_ERROR, "illegal transition"),
    }
}

fn diagnosed(diagnostic: &Diagnostic) -> ProblemItem {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    ProblemItem {
        code: diagnostic.code.to_string(),
        message: diagnostic.message.clone(),
        severity: severity.to_owned(),
        file: Some(diagnostic.place.file.clone()),
        line: Some(diagnostic.place.line),
        column: Some(diagnostic.place.column),
        length: Some(diagnostic.place.length),
        label: diagnostic.label.clone(),
        help: diagnostic.help.clone(),
    }
}

fn planned(error: &PlanError) -> ProblemItem {
    ProblemItem {
        code: error.code().to_owned(),
        message: error.to_string(),
        severity: "error".to_owned(),
        ..ProblemItem::default()
    }
}

impl From<&ApiError> for StatusCode {
    fn from(error: &ApiError) -> Self {
        error.kind().status
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from(&self);
        if status.is_server_error() {
            tracing::warn!(%status, error = %self, "request failed");
        }
        let mut response = (status, Json(self.problem())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
