// What tare-posture says of the network: each interface with its flags and addresses, the routes of
// IPv4 and IPv6, and how much the kernel lists of sockets.
//
// Process: tare-posture, inside a sandbox, one thread. Nothing here fails (lines.h).
//
// Source: netdevice(7), proc(5) of /proc/net; include/uapi/linux/ipv6_route.h for the columns of
// ipv6_route.
#pragma once

namespace tare::sandbox::posture {

void network_lines();

}  // namespace tare::sandbox::posture
