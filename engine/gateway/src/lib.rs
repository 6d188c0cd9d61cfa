//! The agents' gRPC door
