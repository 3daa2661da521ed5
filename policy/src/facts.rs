//! What rules are asked about: the facts of a request.

use std::cell::OnceCell;
use std::net::IpAddr;

use portcullis_detect::Request;

/// A parameter, cookie or header: name and value, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// A request as rules see it. What costs something to find out is found out when the first rule asks.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The client's country as two letters; empty where it is not known. Looked up only where
    /// [`Needs`](crate::Needs) says so.
    pub country: &'a str,
    /// Fingerprints of the client's TLS hello; empty where the caller has none.
    pub ja3: &'a str,
    /// The same in the newer form.
    pub ja4: &'a str,
    /// The agent's name.
    pub agent: &'a str,
    /// The parameters of a body that is not a plain form, which this crate reads itself. Filled only where
    /// [`Needs`](crate::Needs) says so.
    pub post: &'a [Parameter],
    pub(crate) known: Known,
}

/// What was found out.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) path: OnceCell<Vec<Vec<u8>>>,
    pub(crate) domain: OnceCell<Vec<u8>>,
    pub(crate) query: OnceCell<Vec<Parameter>>,
    pub(crate) post: OnceCell<Vec<Parameter>>,
    pub(crate) cookies: OnceCell<Vec<Parameter>>,
}

impl<'a> Facts<'a> {
    /// The facts that every caller has; the others can be set.
    pub fn new(request: &'a Request<'a>, client: Option<IpAddr>) -> Self {
        Self { request, client, country: "", ja3: "", ja4: "", agent: "", post: &[], known: Known::default() }
    }
}
