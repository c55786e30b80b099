//! Sockets of the loopback, where there are none of the file system. The file of a bell has its port, and a word that only
//! a program that can read the file knows.

use std::{
    collections::VecDeque,
    fmt, fs, io,
    net::Ipv4Addr,
    path::Path,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

pub(in crate::resources::peers) use tokio::net::TcpStream as Line;
use tokio::{
    io::{AsyncWriteExt as _, ReadBuf},
    net::TcpListener,
};

use crate::random;

/// So many wait at most to say the word: of more, the oldest are closed.
const MOST_STRANGERS: usize = 64;

/// The word; a secret of this user's programs.
type Word = [u8; 16];

pub(in crate::resources::peers) struct Listener {
    socket: TcpListener,
    word: Word,
    /// Those that have not said the word yet, the oldest first.
    strangers: Mutex<VecDeque<Line>>,
}

pub(in crate::resources::peers) fn listen(path: &Path) -> io::Result<Listener> {
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    let (port, word) = (socket.local_addr()?.port(), random::bits());
    fs::write(path, format!("{port} {word}"))?;
    Ok(Listener {
        socket: TcpListener::from_std(socket)?,
        word: word.to_le_bytes(),
        strangers: Mutex::default(),
    })
}

pub(in crate::resources::peers) async fn connect(path: &Path) -> io::Result<Line> {
    let text = fs::read_to_string(path)?;
    let (port, word) = parse(&text).ok_or(io::ErrorKind::InvalidData)?;
    let mut line = Line::connect((Ipv4Addr::LOCALHOST, port)).await?;
    line.write_all(&word.to_le_bytes()).await?;
    Ok(line)
}

fn parse(text: &str) -> Option<(u16, u128)> {
    let (port, word) = text.split_once(' ')?;
    Some((port.parse().ok()?, word.parse().ok()?))
}

impl Listener {
    pub(in crate::resources::peers) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Line, ())>> {
        let mut strangers = self
            .strangers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while let Poll::Ready(accepted) = self.socket.poll_accept(cx) {
            match accepted {
                Ok((stranger, _)) => strangers.push_back(stranger),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let mut at = 0;
        while let Some(stranger) = strangers.get(at) {
            let said = self.poll_word(stranger, cx);
            if said.is_pending() {
                at += 1;
                continue;
            }
            if let (Some(line), Poll::Ready(true)) = (strangers.remove(at), said) {
                return Poll::Ready(Ok((line, ())));
            }
        }
        // Those that have said nothing so long say nothing later either.
        let many = strangers.len().saturating_sub(MOST_STRANGERS);
        drop(strangers.drain(..many));
        Poll::Pending
    }

    /// Whether it has said the word. A program of this crate says it at once: one that says a part of it first is
    /// another program.
    fn poll_word(&self, stranger: &Line, cx: &mut Context<'_>) -> Poll<bool> {
        let mut word = Word::default();
        let mut said = ReadBuf::new(&mut word);
        match stranger.poll_peek(cx, &mut said) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(peeked) => Poll::Ready(peeked.is_ok() && said.filled() == self.word),
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{env, time::Duration};

    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::resources::peers::{Bell, Ring};

    async fn soon<T>(what: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(Duration::from_secs(20), what)
            .await
            .ok()
    }

    #[tokio::test]
    async fn a_bell_keeps_few_that_say_nothing_and_hears_one_that_comes_after_them() {
        let name = format!("local-service-crowd-{}", std::process::id());
        let path = env::temp_dir().join(name);
        let mut bell = Bell::hang(vec![path.clone()]);
        let (port, _) = parse(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut silent = Vec::new();
        for _ in 0..MOST_STRANGERS + 10 {
            let line = Line::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            silent.push(line);
            // It takes each as it comes.
            drop(tokio::time::timeout(Duration::from_millis(1), bell.changed()).await);
        }
        let mut ring = Ring::default();
        ring.at(&path).await;
        soon(bell.changed()).await.expect("it is heard");
        assert!(bell.is_rung());
        // The oldest was closed.
        let first = silent.first_mut().expect("one");
        let end = soon(first.read(&mut [0])).await.expect("its end");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }

    #[tokio::test]
    async fn a_bell_hears_those_that_know_its_word_and_no_other() {
        let path = env::temp_dir().join(format!("local-service-bell-{}", std::process::id()));
        let mut bell = Bell::hang(vec![path.clone()]);
        let (port, word) = parse(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut stranger = Line::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        stranger.write_all(&(!word).to_le_bytes()).await.unwrap();
        let mut ring = Ring::default();
        ring.at(&path).await;
        soon(bell.changed()).await.expect("it is heard");
        assert!(bell.is_rung());
        ring.stop();
        soon(bell.changed()).await.expect("its end is heard");
        assert!(!bell.is_rung(), "the stranger does not count");
        drop(stranger);
        drop(bell);
        assert!(!path.exists());
    }
}
