//! `/tokens`: what operators show to this door. Only hashes are kept.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rebar_model::{Actor, ApiToken, Digest, TokenHash};
use rebar_scheduler::Command;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    address,
    app::App,
    error::ApiError,
    extract::{Body, Caller, Params, Segments},
    limits::TOKEN_NAME,
    paging::limit,
    types::{CreateToken, CreatedToken, Page, PageQuery, Problem, TokenView},
};

/// What tokens begin with, so that people and scanners know one when they see it.
const PREFIX: &str = "rebar_";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(remove))
}

fn view(token: &ApiToken, caller: &Caller) -> TokenView {
    TokenView {
        id: token.hash,
        name: token.name.clone(),
        created_at: token.created_at,
        expires_at: token.expires_at,
        current: token.hash == caller.token,
    }
}

/// List the tokens
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(PageQuery), responses((status = 200, body = Page<TokenView>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<TokenView>>, ApiError> {
    let after = query.page_token.as_deref().map(address::parse::<Digest>).transpose()?.map(TokenHash);
    let limit = limit(query.limit);
    Ok(Json(app.handle.read(|world| {
        let mut rest = world.api_tokens().values().skip_while(|it| after.is_some_and(|after| it.hash <= after));
        let items: Vec<_> = rest.by_ref().take(limit).map(|it| view(it, &caller)).collect();
        let next_page_token = rest.next().and(items.last()).map(|it| it.id.0.to_string());
        Page { items, next_page_token, revision: world.applied() }
    })))
}

/// Make a token
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = CreateToken,
    responses((status = 201, description = "the token, this once", body = CreatedToken), (status = 400, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<CreateToken>,
) -> Result<impl IntoResponse, ApiError> {
    let CreateToken { name, ttl } = request;
    check_name(&name)?;
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(app.random()?));
    let now = app.handle.now();
    let kept = ApiToken { hash: TokenHash::of(&token), name, created_at: now, expires_at: ttl.map(|it| it.after(now)) };
    app.handle.command(caller.actor.clone(), Command::PutApiToken { token: kept.clone() }).await?;
    let created = CreatedToken { token, view: view(&kept, &caller) };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(created)))
}

/// What a token's owner does is signed with this name, so that it must not be taken for somebody else's.
fn check_name(name: &str) -> Result<(), ApiError> {
    let fits = (1..=TOKEN_NAME).contains(&name.len());
    let plain = name.chars().all(|it| it.is_ascii_alphanumeric() || "-_.@".contains(it));
    if fits && plain && *name != Actor::engine().0 {
        return Ok(());
    }
    Err(ApiError::Malformed(format!(
        "`{name}` cannot name a token: use letters, digits and any of -_.@, at most {TOKEN_NAME}, and not `engine`"
    )))
}

/// Take a token back
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<Digest>,
) -> Result<StatusCode, ApiError> {
    app.handle.command(caller.actor, Command::RemoveApiToken { hash: TokenHash(id) }).await?;
    Ok(StatusCode::NO_CONTENT)
}
