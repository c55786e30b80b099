//! zed: a trait of its own, whose bodies are readers, and no tokio. The lease is taken by hand.

use std::{io, sync::Arc, thread, time::Duration};

use blocking::{Unblock, unblock};
use futures::{
    AsyncRead, AsyncReadExt as _, FutureExt as _, StreamExt as _, TryStreamExt as _,
    channel::mpsc,
    executor::block_on,
    future::{BoxFuture, Either, select},
    pin_mut, stream,
};
use futures_timer::Delay;
use http::{Request, Response};
use tower_local_service::{Lease, LocalService, Resolve as _};

use crate::check::{Setup, assert_killed, chat};

type AsyncBody = Box<dyn AsyncRead + Send + Unpin>;
type Sent = BoxFuture<'static, anyhow::Result<Response<AsyncBody>>>;

trait HttpClient: Send + Sync {
    fn send(&self, request: Request<String>) -> Sent;
}

struct Ensured<C> {
    inner: Arc<C>,
    service: LocalService,
}

impl<C: HttpClient + 'static> HttpClient for Ensured<C> {
    fn send(&self, request: Request<String>) -> Sent {
        let (inner, service) = (self.inner.clone(), self.service.resolve(&request));
        let send = async move {
            let Some(service) = service else {
                return inner.send(request).await;
            };
            let lease = service.acquire().await?;
            let response = inner.send(request).await?;
            Ok(response.map(|body| leased(body, lease)))
        };
        send.boxed()
    }
}

/// The body with its lease, which ends with it. Its error says what the server died of.
fn leased(body: AsyncBody, lease: Lease) -> AsyncBody {
    let chunks = stream::try_unfold((body, lease), |(mut body, lease)| async {
        let mut chunk = vec![0; 8192];
        let length = match body.read(&mut chunk).await {
            Ok(length) => length,
            Err(error) => return Err(cause(&lease, error).await),
        };
        chunk.truncate(length);
        Ok((length > 0).then_some((chunk, (body, lease))))
    });
    Box::new(chunks.boxed().into_async_read())
}

/// The end of the server, if it is known within a moment.
async fn cause(lease: &Lease, error: io::Error) -> io::Error {
    let ended = lease.ended();
    pin_mut!(ended);
    match select(ended, Delay::new(Duration::from_millis(100))).await {
        Either::Left((ended, _)) => io::Error::other(ended),
        Either::Right(_) => error,
    }
}

/// The client inside: a blocking one, on threads of its own.
struct Ureq;

impl HttpClient for Ureq {
    fn send(&self, request: Request<String>) -> Sent {
        let send = async {
            let response = unblock(|| ureq::agent().run(request)).await?;
            let body = |it: ureq::Body| Box::new(Unblock::new(it.into_reader())) as AsyncBody;
            Ok(response.map(body))
        };
        send.boxed()
    }
}

async fn read(
    client: Arc<dyn HttpClient>,
    url: String,
    piece: &mut mpsc::UnboundedSender<Result<(), String>>,
) -> anyhow::Result<()> {
    let request = Request::post(url).body(chat().to_string())?;
    let mut body = client.send(request).await?.into_body();
    let mut chunk = [0; 8192];
    while body.read(&mut chunk).await? > 0 {
        piece.unbounded_send(Ok(()))?;
    }
    Ok(())
}

#[tokio::test]
async fn the_client_of_zed_is_wrapped() {
    let it = Setup::new("zed");
    let client: Arc<dyn HttpClient> = Arc::new(Ensured {
        inner: Arc::new(Ureq),
        service: it.service.clone(),
    });
    let error = it
        .check(|| async {
            let (client, url, (mut sender, pieces)) = (client.clone(), it.url(), mpsc::unbounded());
            // A thread without a runtime of tokio.
            thread::spawn(move || {
                let read = block_on(read(client, url, &mut sender));
                let failed = read.map_err(|error| format!("{error:#}"));
                drop(failed.map_err(|error| sender.unbounded_send(Err(error))));
            });
            Ok(pieces.boxed())
        })
        .await;
    assert_killed(&error);
}
