//! A TLS server in front of a plain one, with a certificate from an authority of its own: as in houses that sign theirs
//! themselves.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How long one side is listened to before it is the other's turn.
const TURN: Duration = Duration::from_millis(2);

/// The server. It ends with the test's process.
pub struct TlsFront {
    port: u16,
    authority: String,
}

impl TlsFront {
    /// Accepts for `localhost`, and hands on to this port of the machine.
    pub fn before(target: u16) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let authority = params.self_signed(&key).expect("an authority signs itself").pem();
        let issuer = Issuer::new(params, key);

        let own = KeyPair::generate().expect("a key can be made");
        let names = CertificateParams::new(["localhost".to_owned()]).expect("localhost is a name");
        let certificate = names.signed_by(&own, &issuer).expect("the authority signs");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der())),
            )
            .expect("key and certificate belong together");

        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let config = Arc::new(config);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).expect("the configuration is good");
                thread::spawn(move || hand_on(StreamOwned::new(connection, client), target));
            }
        });
        Self { port, authority }
    }

    /// Its authority's certificate, in PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Its address with this path.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }
}

/// Until either side closes, or the client does not trust us.
fn hand_on(mut client: StreamOwned<ServerConnection, TcpStream>, target: u16) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)) else { return };
    for socket in [&client.sock, &server] {
        socket.set_read_timeout(Some(TURN)).expect("the timeout is not zero");
    }
    while copy(&mut client, &mut server) && copy(&mut server, &mut client) {}
}

/// What is there; whether more may come.
fn copy(from: &mut impl Read, to: &mut impl Write) -> bool {
    let mut buffer = [0; 16 * 1024];
    match from.read(&mut buffer) {
        Ok(0) => false,
        Ok(length) => to.write_all(&buffer[..length]).and_then(|()| to.flush()).is_ok(),
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted),
    }
}
