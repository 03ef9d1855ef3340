//! What a service's end of a connection is made of, in memory or over a network: one type,
//! so that a service is told once how to serve.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{Sink, Stream};
use tarpc::transport::channel::Channel;
use tarpc::{ClientMessage, Response};

use super::called::Duplex;

/// A connection's far end.
pub(crate) enum Transport<Req, Resp> {
    /// In memory.
    Here(Pin<Box<Channel<ClientMessage<Req>, Response<Resp>>>>),
    /// Over a network.
    There(Box<dyn Duplex<Req, Resp>>),
}

impl<Req, Resp> Stream for Transport<Req, Resp> {
    type Item = io::Result<ClientMessage<Req>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.get_mut() {
            Self::Here(channel) => Poll::Ready(ready!(channel.as_mut().poll_next(cx)).map(|item| item.map_err(broken))),
            Self::There(wire) => wire.poll_next(cx),
        }
    }
}

impl<Req, Resp> Sink<Response<Resp>> for Transport<Req, Resp> {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Here(channel) => channel.as_mut().poll_ready(cx).map_err(broken),
            Self::There(wire) => wire.called().poll_ready(cx),
        }
    }

    fn start_send(self: Pin<&mut Self>, response: Response<Resp>) -> io::Result<()> {
        match self.get_mut() {
            Self::Here(channel) => channel.as_mut().start_send(response).map_err(broken),
            Self::There(wire) => wire.start_send(response),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Here(channel) => channel.as_mut().poll_flush(cx).map_err(broken),
            Self::There(wire) => wire.called().poll_flush(cx),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Here(channel) => channel.as_mut().poll_close(cx).map_err(broken),
            Self::There(wire) => wire.called().poll_close(cx),
        }
    }
}

fn broken(error: tarpc::transport::channel::ChannelError) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, error)
}
