//! Listening, and ending well.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use base::{Error, Result};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tidemill::Engine;

use crate::door::Bounded;
use crate::engine::{Desk, Driver, Heat, Keeping};
use crate::options::{Limits, ServeOptions};
use crate::routes::routes;
use crate::service::{Bounds, Service};
use crate::voice::Voice;

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    engine: Engine,
    voice: Voice,
    options: ServeOptions,
}

impl Server {
    /// Listens for requests to `engine`'s model, and answers none yet.
    pub fn bind(engine: Engine, voice: Voice, options: ServeOptions) -> Result<Self> {
        let address = options.address;
        let listener = TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|error| Error::io(format!("listening at {address}"), &error).hint("--port 8081"))?;
        Ok(Self { listener, engine, voice, options })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|error| Error::io("asking where the server listens", &error))
    }

    /// Serves until the process is told to end (Ctrl-C, SIGTERM), and then until answers under way are complete or the
    /// time for that is over.
    pub fn run(self) -> Result<()> {
        self.run_until(told_to_end())
    }

    /// The same until `end`.
    pub fn run_until(self, end: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let Self { listener, mut engine, voice, options } = self;
        let heat = Heat::default();
        engine.watch(Some(heat.watch()));
        let bounds = Bounds {
            prompt: engine.plan().prompt,
            sequence: engine.spec().context,
            context: engine.plan().context,
            vocab: engine.spec().vocab,
        };
        let limits = options.limits.clone();
        let keeping = Keeping::open(options.store.as_ref(), heat.clone(), &engine)?;
        let (driver, desk) = Driver::new(engine, keeping, limits.parallel, limits.queue);
        let tls = options.tls.clone();
        let service = Arc::new(Service::new(options, desk.clone(), heat, voice, bounds));
        let app = routes(service).into_make_service_with_connect_info::<SocketAddr>();

        let driving = thread::Builder::new().name("engine".to_owned()).spawn(move || driver.run());
        let driving = driving.map_err(|error| Error::io("starting a thread", &error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("rendering")
            .build()
            .map_err(|error| Error::io("starting the server", &error))?;
        let served = runtime.block_on(serve(listener, tls, app, &limits, desk, end));
        drop(runtime);
        let drove = driving.join();
        served.and(drove.map_err(|_| Error::new(base::Kind::Io, "the engine's thread came to a sudden end")))
    }
}

/// Threads for prompts, files and names.
const BLOCKING_THREADS: usize = 4;

type App = IntoMakeServiceWithConnectInfo<axum::Router, SocketAddr>;

async fn serve(
    listener: TcpListener,
    tls: Option<(std::path::PathBuf, std::path::PathBuf)>,
    app: App,
    limits: &Limits,
    desk: Desk,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let handle = Handle::new();
    let door = Bounded { handle: handle.clone(), most: limits.connections };
    tokio::spawn(end_well(end, desk.clone(), handle.clone(), limits.grace));
    let failed = |error: std::io::Error| Error::io("serving", &error);
    let served = match tls {
        None => {
            let mut server =
                axum_server::from_tcp(listener).map_err(failed)?.acceptor(door).handle(handle).http1_only();
            bound(server.http_builder(), limits);
            server.serve(app).await
        }
        Some((certificate, key)) => {
            // Another provider was installed before: it serves as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let config = RustlsConfig::from_pem_file(&certificate, &key).await.map_err(|error| {
                Error::input(format!("the certificate or its key cannot be used: {error}"))
                    .within(certificate.display())
            })?;
            let door = RustlsAcceptor::new(config).acceptor(door);
            let mut server =
                axum_server::from_tcp(listener).map_err(failed)?.acceptor(door).handle(handle).http1_only();
            bound(server.http_builder(), limits);
            server.serve(app).await
        }
    };
    desk.end();
    served.map_err(failed)
}

/// What a connection may take.
fn bound(builder: &mut Builder<TokioExecutor>, limits: &Limits) {
    let mut http = builder.http1();
    http.timer(TokioTimer::new());
    http.header_read_timeout(limits.header_time);
    http.max_buf_size(limits.header_bytes.max(8192));
}

/// Waits for `end`; takes nothing new from then on, lets what goes on be completed for `grace`, and then ends it.
async fn end_well(end: impl Future<Output = ()>, desk: Desk, handle: Handle<SocketAddr>, grace: Duration) {
    end.await;
    desk.close();
    handle.graceful_shutdown(None);
    let idle = async {
        while !desk.is_idle() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let again = told_to_end();
    tokio::select! {
        () = idle => {}
        () = tokio::time::sleep(grace) => {}
        () = again => {}
    }
    desk.end();
    // Connections live a little longer than answers, so that everybody hears how theirs ended.
    tokio::time::sleep(LAST_WORDS).await;
    handle.shutdown();
}

/// How long connections are kept once all answers have ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Until the system or a person tells the process to end.
async fn told_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            },
            Err(_) => drop(tokio::signal::ctrl_c().await),
        }
    }
    #[cfg(not(unix))]
    drop(tokio::signal::ctrl_c().await);
}
