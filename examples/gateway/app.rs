//! The paths, and the layers that all of them have in common.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, Method, Request, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowHeaders, CorsLayer},
    limit::{RequestBodyLimitLayer, ResponseBody},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    timeout::RequestBodyTimeoutLayer,
    trace::{DefaultOnResponse, TraceLayer},
    validate_request::ValidateRequestHeaderLayer,
};
use tower_local_service::provider::Providers;
use tracing::{Level, Span, info_span};

use crate::{
    admin,
    args::Args,
    failure::{self, Failure},
    forward,
    guard::Guard,
    models,
    upstream::{FromProvider, Upstream},
};

/// How long a client may pause while it sends its request.
const UPLOAD_PAUSE: Duration = Duration::from_secs(60);

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What all requests share.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) providers: Providers,
    pub(crate) upstream: Upstream,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) body_limit: usize,
}

pub(crate) fn app(args: &Args, providers: Providers) -> Router {
    let limit = args.body_limit;
    let gateway = Gateway {
        providers,
        upstream: Upstream::new(),
        keep_alive: args.keep_alive.0,
        body_limit: limit,
    };
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(X_REQUEST_ID, MakeRequestUuid))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_response(DefaultOnResponse::new().level(Level::INFO)),
        )
        .layer(PropagateRequestIdLayer::new(X_REQUEST_ID))
        .layer(CatchPanicLayer::custom(failure::panicked))
        .layer(ValidateRequestHeaderLayer::custom(Guard::new(
            &args.allow_host,
            &args.allow_origin,
        )))
        .option_layer(cors(&args.allow_origin))
        .map_response(move |response| in_our_shape(response, limit))
        .layer(RequestBodyTimeoutLayer::new(UPLOAD_PAUSE))
        .layer(RequestBodyLimitLayer::new(limit));
    Router::new()
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::one))
        .route("/v1/{*path}", post(forward::forward))
        .route("/admin/status", get(admin::status))
        .route("/admin/{provider}/start", post(admin::start))
        .route("/admin/{provider}/stop", post(admin::stop))
        .fallback(failure::no_such_path)
        .method_not_allowed_fallback(failure::wrong_method)
        // axum's own limit is lower.
        .layer(DefaultBodyLimit::disable())
        .layer(layers)
        .with_state(gateway)
}

/// The layer for the limit answers with plain text. A provider's own refusal stays as it is.
fn in_our_shape(response: Response<ResponseBody<Body>>, limit: usize) -> Response {
    let is_ours = response.extensions().get::<FromProvider>().is_none();
    if is_ours && response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Failure::too_large(limit).into_response();
    }
    response.map(Body::new)
}

/// Without the query, which may hold a secret.
fn span<B>(request: &Request<B>) -> Span {
    let id = request.extensions().get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok());
    info_span!("request", id, method = %request.method(), path = request.uri().path())
}

/// `None` unless a page is allowed.
fn cors(origins: &[HeaderValue]) -> Option<CorsLayer> {
    let layer = CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([X_REQUEST_ID, header::RETRY_AFTER]);
    (!origins.is_empty()).then_some(layer)
}
