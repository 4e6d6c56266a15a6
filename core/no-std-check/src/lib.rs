//! A process without std that runs one node: linked by a C compiler, with nothing but a C library.
//!
//! Unlike every other crate here it needs `unsafe`: a program without std brings its own allocator
//! and is called from C.
#![no_std]
#![allow(unsafe_code, reason = "an allocator and a C entry point cannot be had without")]

extern crate alloc;

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};

use phalanx_core::{
    Boot, Config, Event, Genesis, Hash32, Identity, Input, Limits, Member, Node, Order, Output,
    Pattern, QuorumRule, Request, Status, Ticket, Time,
};

unsafe extern "C" {
    fn aligned_alloc(alignment: usize, size: usize) -> *mut u8;
    fn free(memory: *mut u8);
    fn abort() -> !;
}

struct FromC;

// SAFETY: memory of the C library, aligned as asked, of a size that is a multiple of the alignment.
unsafe impl GlobalAlloc for FromC {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let alignment = layout.align().max(size_of::<usize>());
        // SAFETY: the alignment is a power of two, and a layout does not overflow when padded.
        unsafe { aligned_alloc(alignment, layout.size().next_multiple_of(alignment)) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        // SAFETY: it came from `aligned_alloc` above.
        unsafe { free(memory) }
    }
}

#[global_allocator]
static ALLOCATOR: FromC = FromC;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: takes nothing and does not return.
    unsafe { abort() }
}

/// How many casts a group of one delivers of the two it is asked to cast; 2 unless something is
/// wrong.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_no_std_check() -> u32 {
    let identity = Identity::ed25519([7; 32]);
    let member = Member {
        key: *identity.public_key(),
        incarnation: 0,
        addr: Vec::new(),
        status: Status::Active,
    };
    let config = Config::new(Genesis {
        name: "alone".into(),
        nonce: Hash32::ZERO,
        members: Vec::from([member]),
        pledge: None,
        pattern: Pattern::Swift,
        quorum: QuorumRule::Sound,
        membership: phalanx_core::Membership::Fixed,
        state_transfer: false,
        limits: Limits::default(),
    });
    let Ok(mut node) = Node::new(config, identity, Boot { incarnation: 0 }, Time::ZERO) else {
        return 0;
    };
    let cast = |order| Request::Cast { order, payload: b"hello" };
    let inputs = [
        Input::Request(Ticket(1), cast(Order::Total)),
        Input::Request(Ticket(2), cast(Order::Fifo)),
    ];
    let mut delivered = 0;
    for input in inputs.into_iter().chain([Input::Tick; 4]) {
        let outputs = node.step(Time::ZERO, input);
        let casts = outputs.filter(|output| matches!(output, Output::Event(Event::Cast { .. })));
        delivered += u32::try_from(casts.count()).unwrap_or(0);
    }
    delivered
}
