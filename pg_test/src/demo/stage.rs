//! What the demo needs around it: a production database, its pool, its monitoring, and somebody to page.

use crate::error::Result;
use crate::lab::{Gateway, Monitoring, PgBouncer, Site};
use crate::stub_sink::StubSink;

/// All of it. The fields are ended in their order: whoever watches before what is watched.
pub struct Stage {
    /// Who notices and sends the webhook.
    pub _monitoring: Monitoring,
    /// Who takes the webhook.
    pub gateway: Gateway,
    /// Who is paged.
    pub sink: StubSink,
    /// The pool.
    pub bouncer: PgBouncer,
    /// The server.
    pub site: Site,
}

impl Stage {
    /// Set it around this server.
    pub fn set(site: Site) -> Result<Self> {
        site.load_runbooks()?;
        site.client()?.batch_execute("ALTER DATABASE production SET search_path = public, oncall")?;
        let bouncer = site.pool(50)?;
        let sink = StubSink::start();
        site.page_to(&sink)?;
        let gateway = Gateway::start(site.cluster())?;
        let monitoring = Monitoring::start(site.cluster(), &gateway)?;
        Ok(Self { _monitoring: monitoring, gateway, sink, bouncer, site })
    }

    /// End everything but the server, to which nobody is left to be paged.
    pub fn clear(self) -> Result<Site> {
        self.site.client()?.batch_execute("UPDATE oncall.sink SET enabled = false")?;
        Ok(self.site)
    }
}
