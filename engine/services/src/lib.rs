//! DNS, addresses, load balancer and PKI that really serve
