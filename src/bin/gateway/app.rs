//! The paths, and the layers that all of them have in common.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, Method, Request, StatusCode, header},
    middleware,
    response::{IntoResponse as _, Response},
    routing::{any, get, post},
};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowHeaders, AllowOrigin, CorsLayer},
    decompression::RequestDecompressionLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    timeout::RequestBodyTimeoutLayer,
    validate_request::ValidateRequestHeaderLayer,
};
use tower_local_service::BoxError;

use crate::{
    access, admin,
    args::Args,
    direct,
    failure::{self, Failure},
    forward,
    guard::Guard,
    keys::{Door, Keys},
    models,
    origins::Origins,
    page,
    state::Gateway,
    upstream::FromProvider,
};

/// How long a client may pause while it sends its request.
const UPLOAD_PAUSE: Duration = Duration::from_secs(60);

/// How long browsers need not ask again whether a page may use this. None keeps it for longer.
const ALLOWED_FOR: Duration = Duration::from_secs(2 * 60 * 60);

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) fn app(args: &Args, gateway: Gateway, keys: Option<Keys>) -> Router {
    let limit = args.body_limit;
    let origins = Origins::new(&args.allow_origin);
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(X_REQUEST_ID, MakeRequestUuid))
        .layer(middleware::from_fn(access::log))
        .layer(PropagateRequestIdLayer::new(X_REQUEST_ID))
        .layer(CatchPanicLayer::custom(failure::panicked))
        .layer(ValidateRequestHeaderLayer::custom(Guard::new(
            &args.allow_host,
            origins.clone(),
        )))
        .option_layer(cors(origins))
        .layer(ValidateRequestHeaderLayer::custom(Door(keys)))
        .map_response(move |response| in_our_shape(response, limit))
        .layer(RequestBodyTimeoutLayer::new(UPLOAD_PAUSE))
        // Twice: what is sent, and what it is without its compression.
        .layer(RequestBodyLimitLayer::new(limit))
        .map_request(name_encoding)
        .layer(RequestDecompressionLayer::new())
        .layer(RequestBodyLimitLayer::new(limit));
    Router::new()
        .route("/v1/models", get(models::list))
        .route("/v1/models/", get(models::list))
        .route("/v1/models/{*id}", get(models::one))
        .route(
            "/v1/{*path}",
            post(forward::forward).fallback(forward::without_question),
        )
        .route("/upstream/{*path}", any(direct::upstream))
        .route("/", get(page::html))
        .route("/page.css", get(page::css))
        .route("/page.js", get(page::script))
        .route("/health", get(admin::health))
        .route("/metrics", get(admin::metrics))
        .route("/admin/status", get(admin::status))
        .route("/admin/events", get(admin::events))
        .route("/admin/stop", post(admin::stop_all))
        .route("/admin/{provider}/start", post(admin::start))
        .route("/admin/{provider}/stop", post(admin::stop))
        .route("/admin/{provider}/log", get(admin::log))
        .fallback(failure::no_such_path)
        .method_not_allowed_fallback(failure::wrong_method)
        // axum's own limit is lower.
        .layer(DefaultBodyLimit::disable())
        .layer(layers)
        .with_state(gateway)
}

/// The layers for the limit and for compressed bodies answer without an explanation. A provider's own
/// refusal stays as it is.
fn in_our_shape<B>(response: Response<B>, limit: usize) -> Response
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let has_words = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|it| it == "application/json");
    let is_ours = response.extensions().get::<FromProvider>().is_none() && !has_words;
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE if is_ours => Failure::too_large(limit).into_response(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE if is_ours => Failure::compressed().into_response(),
        _ => response.map(Body::new),
    }
}

/// The name of the compression as the layer knows it.
fn name_encoding<B>(mut request: Request<B>) -> Request<B> {
    if let Some(encoding) = request.headers().get(header::CONTENT_ENCODING) {
        let name = encoding
            .to_str()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let name = name.strip_prefix("x-").unwrap_or(&name);
        if let Ok(name) = HeaderValue::from_str(name) {
            request.headers_mut().insert(header::CONTENT_ENCODING, name);
        }
    }
    request
}

/// `None` unless a page is allowed.
fn cors(origins: Origins) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            origins.allow(origin)
        }))
        // A page on the web asks for this machine.
        .allow_private_network(true)
        .max_age(ALLOWED_FOR)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([X_REQUEST_ID, header::RETRY_AFTER]);
    Some(layer)
}
