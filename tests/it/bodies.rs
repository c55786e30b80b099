//! A layered response is the bare one: what is read of it, and what is said of it.

use http::{HeaderMap, HeaderValue, Method, Version};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper_util::client::legacy::connect::HttpInfo;
use tower_local_service::ColdStart;

use crate::{
    clients::{Setup, ensured, hyper_client, request, send, text},
    fakes::{Script, Step, answers},
    support::{Fixture, within},
};

/// Everything that can be seen of a response without reading it.
fn seen<B: Body>(response: &http::Response<B>) -> String {
    let connection = response.extensions().get::<HttpInfo>();
    let seen = (
        response.status(),
        response.version(),
        response.headers(),
        connection.map(HttpInfo::remote_addr),
        response.extensions().len(),
        response.body().size_hint(),
        response.body().is_end_stream(),
    );
    format!("{seen:?}")
}

#[tokio::test]
async fn a_layered_client_answers_what_the_bare_one_answers() {
    let it = Setup::new("as the bare one");
    it.service.start().await.unwrap();
    let answers = [
        (Method::GET, "/hello"),
        (Method::HEAD, "/hello"),
        (Method::GET, "/bytes?n=100000"),
        (Method::GET, "/empty"),
        (Method::GET, "/status/404"),
        (Method::GET, "/stream"),
        (Method::GET, "/length-stream?gap_ms=5"),
        (Method::GET, "/close-delimited"),
        (Method::GET, "/trailers"),
    ];
    for (method, path) in answers {
        let url = it.fixture.url(path);
        let bare = hyper_client().request(request(method.clone(), &url));
        let bare = within("the bare answer", bare).await.unwrap();
        let layered = send(&it.client, request(method.clone(), &url))
            .await
            .unwrap();
        assert_eq!(seen(&layered), seen(&bare), "{method} {path}");
        let (bare, layered) = (bare.into_body().collect(), layered.into_body().collect());
        let (bare, layered) = within("both bodies", async { tokio::join!(bare, layered) }).await;
        let (bare, layered) = (bare.unwrap(), layered.unwrap());
        assert_eq!(layered.trailers(), bare.trailers(), "{method} {path}");
        assert_eq!(layered.to_bytes(), bare.to_bytes(), "{method} {path}");
    }
}

#[tokio::test]
async fn an_http_1_0_answer_keeps_its_version() {
    let it = Setup::new("http 1.0");
    let response = it.get("/close-delimited?chunks=2").await;
    assert_eq!(response.version(), Version::HTTP_10);
    assert_eq!(
        text(response.into_body()).await.unwrap(),
        "chunk 0\nchunk 1\n"
    );
}

#[tokio::test]
async fn a_server_that_speaks_http_1_0_alone_streams_to_the_end() {
    let fixture = Fixture::new().flag("--http-1-0");
    let service = fixture.service("http 1.0 alone");
    let client = ensured(&service, hyper_client());
    for (path, body) in [
        ("/stream?chunks=2&gap_ms=20", "chunk 0\nchunk 1\n"),
        ("/hello", "hello"),
    ] {
        let request = request(Method::GET, &fixture.url(path));
        let response = within(path, send(&client, request)).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_10, "{path}");
        assert_eq!(text(response.into_body()).await.unwrap(), body);
    }
}

/// A frame as its text and its trailers.
fn frame_text(frame: Frame<Bytes>) -> (Option<Bytes>, Option<HeaderMap>) {
    match frame.into_data() {
        Ok(data) => (Some(data), None),
        Err(frame) => (None, frame.into_trailers().ok()),
    }
}

#[tokio::test]
async fn each_frame_comes_through_and_what_is_said_between_them() {
    let it = Setup::new("frame by frame");
    let trailers = HeaderMap::from_iter([(http::header::AGE, HeaderValue::from_static("7"))]);
    let scripts = [
        Script::counted([Step::Data("five!"), Step::Data(""), Step::Data("6 more")]),
        // An empty frame is not the end, and neither are data before trailers.
        Script::new([
            Step::Data(""),
            Step::Data("x"),
            Step::Wait,
            Step::Trailers(trailers),
        ]),
        Script::counted([]),
        Script::new([Step::Data("x"), Step::Fail]),
    ];
    for mut bare in scripts {
        let layered = ensured(&it.service, answers(bare.clone()));
        let mut layered = send(&layered, ()).await.unwrap().into_body();
        loop {
            assert_eq!(layered.is_end_stream(), bare.is_end_stream(), "{bare:?}");
            let (ours, theirs) = (layered.size_hint(), bare.size_hint());
            assert_eq!(
                (ours.lower(), ours.upper()),
                (theirs.lower(), theirs.upper())
            );
            let (ours, theirs) = (layered.frame().await, bare.frame().await);
            let is_last = theirs.as_ref().is_none_or(Result::is_err);
            let text = |frame: Option<Result<_, _>>| {
                frame.map(|it: Result<_, tower_local_service::BoxError>| {
                    it.map(frame_text).map_err(|error| error.to_string())
                })
            };
            assert_eq!(text(ours), text(theirs));
            if is_last {
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_the_client_put_into_the_extensions_stays_there() {
    #[derive(Clone, Debug, PartialEq)]
    struct Mark(&'static str);

    let it = Setup::new("extensions");
    let client = tower::service_fn(|()| {
        let response = http::Response::builder().extension(Mark("theirs"));
        std::future::ready(response.body(Script::counted([])))
    });
    let client = ensured(&it.service, client);
    for waited in [true, false] {
        let response = send(&client, ()).await.unwrap();
        let extensions = response.extensions();
        assert_eq!(extensions.get(), Some(&Mark("theirs")));
        assert_eq!(extensions.get::<ColdStart>().is_some(), waited);
    }
}
