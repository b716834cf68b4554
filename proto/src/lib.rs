//! Deskhand's contracts: messages, client stubs and server traits, generated from the .proto files beside this crate, and
//! the descriptor set that they were generated from.

/// All contracts with their imports, comments and HTTP bindings, as an encoded `google.protobuf.FileDescriptorSet`: for
/// reflection, gateways and documentation.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/deskhand.fds"));

/// Who someone is, and how they prove it.
pub mod accounts {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("deskhand.accounts.v1");
    }
}

/// The model behind the desk.
pub mod assistant {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("deskhand.assistant.v1");
    }
}

/// What happens to tickets.
pub mod feed {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("deskhand.feed.v1");
    }
}

/// AI replies.
pub mod replies {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("deskhand.replies.v1");
    }
}

/// Tickets and their messages.
pub mod tickets {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("deskhand.tickets.v1");
    }
}
