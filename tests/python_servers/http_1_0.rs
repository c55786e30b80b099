//! A server of Python's `http.server`, which speaks HTTP/1.0: its streams have no length, and end with the
//! connection, whatever ended that.

use http_body_util::BodyExt as _;
use tower_local_service::{ErrorKind, Phase};

use crate::{
    real::{Client, Server, drain, kind_of, program},
    support::{eventually, kill, within},
};

const SERVER: &str = r#"
import http.server, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        words = {"/v1/words": 5, "/v1/stream": 1000000}.get(self.path, 0)
        for word in range(words):
            self.wfile.write(f"word {word}\n".encode())
            self.wfile.flush()
            time.sleep(0.01)

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

fn streamer() -> Server {
    let server = Server::new(program("PYTHON3"));
    let (script, port) = (server.file("server.py", SERVER), server.port().to_string());
    server.args([script, port])
}

#[tokio::test]
#[ignore = "needs PYTHON3=/path/to/python3"]
async fn a_stream_without_a_length_ends_where_its_server_ends_it() {
    let server = streamer();
    let service = server.service("python-words");
    let client = Client::new(&server, &service);

    let text = within("all words", client.text("/words")).await.unwrap();
    assert_eq!(text, "word 0\nword 1\nword 2\nword 3\nword 4\n");
    service.stop().await.unwrap();
    server.assert_gone();
}

#[tokio::test]
#[ignore = "needs PYTHON3=/path/to/python3"]
async fn a_stream_without_a_length_whose_server_is_killed_is_an_error() {
    let server = streamer();
    let service = server.service("python-killed");
    let client = Client::new(&server, &service);

    for starts in 1..=5 {
        // A complete response: an instance without one would count as a failed start.
        let text = within("words", client.text("/words")).await;
        assert!(text.unwrap().ends_with("word 4\n"));
        let response = within("a stream", client.get("/stream")).await;
        let mut response = response.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_10);
        assert!(response.headers().get("content-length").is_none());
        let frame = within("a word", response.body_mut().frame()).await;
        assert!(frame.unwrap().is_ok());
        assert_eq!(service.status().starts, starts);
        kill(service.status().pid.expect("it is ours"));

        let read = within("the end of the stream", drain(response)).await;
        let error = read.expect_err("it was cut off, not ended");
        let kind = kind_of(&error);
        assert!(
            matches!(
                kind,
                ErrorKind::Exited {
                    signal: Some(9),
                    ..
                }
            ),
            "{error}"
        );
        eventually("its end is noticed", || {
            service.status().phase != Phase::Ready
        })
        .await;
    }
    service.stop().await.unwrap();
    server.assert_gone();
}

#[tokio::test]
#[ignore = "needs PYTHON3=/path/to/python3"]
async fn a_stream_without_a_length_that_is_stopped_is_an_error() {
    let server = streamer();
    let service = server.service("python-stopped");
    let client = Client::new(&server, &service);

    let mut response = within("a stream", client.get("/stream")).await.unwrap();
    let frame = within("a word", response.body_mut().frame()).await;
    assert!(frame.unwrap().is_ok());
    service.stop().await.unwrap();
    server.assert_gone();
    let read = within("the end of the stream", drain(response)).await;
    let error = read.expect_err("it was cut off, not ended");
    assert!(
        matches!(kind_of(&error), ErrorKind::Stopped { .. }),
        "{error}"
    );
}
