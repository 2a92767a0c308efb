//! Tokens and chat.
