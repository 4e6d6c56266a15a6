//! What one liar, in a perfect network, cannot do to the others: stop the order, have innocents
//! suspected, or slow everybody without being found. Through the public door alone.

mod net;
mod order_stopped;
mod slow;
mod split_rows;
