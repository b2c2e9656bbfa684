//! The HTTP client: its buffers, its bounds in time, and the guard in front of it.

use ureq::Agent;
use ureq::tls::TlsConfig;

use crate::egress::{AllowedHosts, Guard};
use crate::settings::Timeouts;

/// The size of each of a connection's two buffers, bytes. ureq's own are 128 kB, which 32 calls in flight would feel.
const BUFFER: usize = 8 * 1024;

/// A client that connects nowhere but to `allowed`, and keeps up to `idle` connections for the next call.
pub(crate) fn connect(allowed: AllowedHosts, timeouts: Timeouts, tls: TlsConfig, idle: usize) -> Agent {
    let Timeouts { resolve, connect, send, response, body, total } = timeouts;
    let config = Agent::config_builder()
        .user_agent(concat!("pg_oncall/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .tls_config(tls)
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        .max_idle_connections(idle)
        .max_idle_connections_per_host(idle)
        .timeout_resolve(Some(resolve))
        .timeout_connect(Some(connect))
        .timeout_send_request(Some(send))
        .timeout_send_body(Some(send))
        .timeout_recv_response(Some(response))
        .timeout_recv_body(Some(body))
        .timeout_global(Some(total));
    Guard::new(allowed).agent(config)
}
