//! `check --against`: asks a running member which group it is in, and how far that is.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use phalanx_core::crypto::{Suite, peer_id};
use phalanx_core::wire::VERSION;
use phalanx_core::wire::frame::{Clear, is_stranger, parse, peek_clear, stranger};
use phalanx_core::wire::stranger::{JoinRefusal, Question, Stranger, decode, encode};
use phalanx_core::{Hash32, PublicKey, View};
use phalanx_mio::config::Home;
use phalanx_mio::net::{TransportKind, hex};

use crate::Failure;

/// How long one answer is waited for.
const WAIT: Duration = Duration::from_secs(1);
/// How often a question is put that draws none.
const TRIES: u32 = 4;
/// Questions in all.
const QUESTIONS: u32 = 256;
/// The longest frame that may answer.
const ANSWER_MAX: usize = 64 * 1024;

/// Asks the member at `at`, and prints what it says; fails if the two cannot be in one group.
pub(crate) fn against(home: &Home, at: SocketAddr) -> Result<(), Failure> {
    let transport = home.network.transport;
    let mut line = Line::open(transport, at)
        .map_err(|why| format!("{at}: {why}: nobody listens there over {}", name(transport)))?;
    let mut view = home.group.genesis.view();
    let mut bytes = 0;
    for count in 0..QUESTIONS {
        let Some(said) = ask(home, &mut line, view.number, bytes)? else {
            if count > 0 {
                break;
            }
            return Err(format!(
                "{at}: no answer over {}: nothing runs there, it uses another transport, or it is no \
                 member yet",
                name(transport)
            )
            .into());
        };
        match said {
            Stranger::Chain { decisions } if !decisions.is_empty() => {
                for decision in decisions {
                    let roster = view.roster(Suite::Ed25519)?;
                    decision.verify(&view, &roster).map_err(|why| {
                        format!("{at}: it shows a view that does not follow from ours: {why}")
                    })?;
                    view = decision.view;
                }
            }
            Stranger::Longer { bytes: wanted } => bytes = usize::try_from(wanted)?,
            Stranger::Refused { why: JoinRefusal::Forgotten, .. } => {
                print_line!("against    {at}: the same group; its views are too many to follow")?;
                return Ok(());
            }
            _ => break,
        }
    }
    print_line!("against    {at}: the same group, version {VERSION}, {}", line_of(home, &view))?;
    Ok(())
}

fn line_of(home: &Home, view: &View) -> String {
    home.group.view_line(view, view.rank_of(&home.secret.public_key()))
}

const fn name(transport: TransportKind) -> &'static str {
    match transport {
        TransportKind::Tcp => "tcp",
        TransportKind::Udp => "udp",
    }
}

/// Puts a question until it is answered; `None` if it never is.
fn ask(home: &Home, line: &mut Line, from: u64, bytes: usize) -> Result<Option<Stranger>, Failure> {
    let group = home.group.genesis.group();
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce)?;
    // Nobody's key: the question of a name that is known might be taken for that process's.
    let key = PublicKey(nonce);
    let asks = Stranger::AskChain(Question::padded(from, key, Hash32(nonce), bytes));
    let asks = stranger(group.prefix(), peer_id(&key), &encode(&asks));
    for _ in 0..TRIES {
        line.send(&asks)?;
        let end = Instant::now() + WAIT;
        while let Some(frame) = line.receive(end)? {
            if let Some(why) = mismatch(&frame, group.prefix()) {
                return Err(format!("{}: {why}", line.at).into());
            }
            let content = parse(&frame).filter(|_| is_stranger(&frame));
            if let Some(said) = content.and_then(|parsed| decode(parsed.content()).ok()) {
                return Ok(Some(said));
            }
        }
    }
    Ok(None)
}

/// Why the sender of a frame is not in this group.
fn mismatch(frame: &[u8], ours: u64) -> Option<String> {
    let Clear { version, group, .. } = peek_clear(frame)?;
    if version != VERSION {
        return Some(format!("it speaks version {version} of the protocol, we speak {VERSION}"));
    }
    let (theirs, ours_text) = (hex(group), hex(ours));
    (group != ours).then(|| {
        format!(
            "it speaks for another group (its id begins with {theirs}, ours with {ours_text}): its \
             group.toml differs"
        )
    })
}

/// The way to a member.
struct Line {
    at: SocketAddr,
    way: Way,
}

enum Way {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Line {
    fn open(transport: TransportKind, at: SocketAddr) -> io::Result<Self> {
        let way = match transport {
            TransportKind::Tcp => Way::Tcp(TcpStream::connect_timeout(&at, WAIT)?),
            TransportKind::Udp => {
                let any: SocketAddr = match at {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(at)?;
                Way::Udp(socket)
            }
        };
        Ok(Self { at, way })
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), Failure> {
        let at = self.at;
        let sent = match &mut self.way {
            Way::Tcp(stream) => {
                let len = u32::try_from(frame.len())?;
                stream.write_all(&[&len.to_le_bytes()[..], frame].concat())
            }
            Way::Udp(socket) => socket.send(frame).map(|_| ()),
        };
        sent.map_err(|why| format!("{at}: {why}: nobody listens there").into())
    }

    /// The next frame; `None` if none comes in time.
    fn receive(&mut self, end: Instant) -> Result<Option<Vec<u8>>, Failure> {
        let wait = end.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(None);
        }
        let got = match &mut self.way {
            Way::Tcp(stream) => stream.set_read_timeout(Some(wait)).and_then(|()| framed(stream)),
            Way::Udp(socket) => {
                let mut frame = vec![0; ANSWER_MAX];
                let got =
                    socket.set_read_timeout(Some(wait)).and_then(|()| socket.recv(&mut frame));
                got.map(|len| {
                    frame.truncate(len);
                    frame
                })
            }
        };
        match got {
            Ok(frame) => Ok(Some(frame)),
            Err(why)
                if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                Ok(None)
            }
            Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => {
                Err(format!("{}: {why}: nobody listens there", self.at).into())
            }
            Err(why) => Err(format!("{}: {why}", self.at).into()),
        }
    }
}

fn framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix)?;
    let len = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
    if len > ANSWER_MAX {
        return Err(io::Error::other("it does not speak this protocol"));
    }
    let mut frame = vec![0; len];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}
