//! A port of this machine that leads to the pods: one port-forward for each connection, to a pod that is ready then.

use std::{io, net::SocketAddr, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::{
    io::copy_bidirectional,
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use super::{cluster::CALL, endpoints::Ready};

/// As many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// The port is taken, and refuses connections until a pod is ready.
#[derive(Debug)]
pub(super) struct Forward {
    socket: TcpSocket,
}

impl Forward {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // Connections of a forward that was, and that the system remembers, are no obstacle.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { socket })
    }

    /// Serves until it is dropped.
    ///
    /// # Errors
    ///
    /// Another program listens on the port.
    pub(super) async fn serve(
        self,
        pods: Api<Pod>,
        mut ready: watch::Receiver<Option<Ready>>,
        port: u16,
    ) -> io::Result<()> {
        let is_ready = |ready: &Option<Ready>| ready.as_ref().is_some_and(|it| !it.is_empty());
        if ready.wait_for(is_ready).await.is_err() {
            return Ok(());
        }
        let listener = self.socket.listen(BACKLOG)?;
        let pods = Arc::new(pods);
        let mut connections = JoinSet::new();
        let mut turn = 0_usize;
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((connection, _)) = accepted else {
                        // Out of descriptors, for one.
                        tokio::time::sleep(CALL / 100).await;
                        continue;
                    };
                    turn = turn.wrapping_add(1);
                    let names = ready.borrow().clone().unwrap_or_default();
                    // Without a pod the client learns at once that it is not served.
                    if let Some(name) = names.get(turn % names.len().max(1)) {
                        connections.spawn(forward(connection, pods.clone(), name.clone(), port));
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn forward(mut connection: TcpStream, pods: Arc<Api<Pod>>, pod: String, port: u16) {
    let Ok(Ok(mut forwarder)) = timeout(CALL, pods.portforward(&pod, &[port])).await else {
        return;
    };
    drop(connection.set_nodelay(true));
    if let Some(mut stream) = forwarder.take_stream(port) {
        // How it ended is for the two sides to tell.
        drop(copy_bidirectional(&mut connection, &mut stream).await);
    }
    forwarder.abort();
}
