//! An account's inbox: status events of executions come in, and task tokens of steps that wait for an answer.
//!
//! A status event is a hint and nothing more: it says *when* to look at an execution, and what is looked at says what became of it. So an event that is lost costs time and
//! one that is forged or comes twice costs a call; a slow look at every running execution stands behind them ([`crate::runs::pace`]).
//!
//! [`message`] reads what stands in the queue, [`listen`] is the loop round it, [`elsewhere`] keeps count of executions that were started past Windlass. What a message is good for in Kubernetes is the [`controller`](crate::controller)'s to
//! know, which gives the loop a [`Desk`](listen::Desk).

pub mod elsewhere;
pub mod listen;
pub mod message;
