//! nginx with nchan: messages are kept (a buffer of 1,000), nothing is logged.

use std::process::Command;
use std::sync::Arc;

use goligoli_tests::http;
use goligoli_tests::swarm::{Ids, Stamp, Target};

use super::{Peer, Programs, Running, payload, said};
use crate::scenario::Scenario;

pub(super) fn start(scenario: &Scenario, programs: &Programs) -> anyhow::Result<Peer> {
    let Programs { nginx, nchan_module, nginx_workers, .. } = programs;
    let version = said(Command::new(nginx).arg("-v"));
    let running = Running::start(|address, folder| {
        let configuration = format!(
            "daemon off; worker_processes {nginx_workers}; worker_rlimit_nofile 20000;\n\
             load_module {};\n\
             pid nginx.pid; error_log stderr crit;\n\
             events {{ worker_connections 19000; use epoll; multi_accept on; }}\n\
             http {{\n\
               access_log off; tcp_nodelay on; keepalive_timeout 3600; keepalive_requests 1000000000;\n\
               client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
               uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
               nchan_shared_memory_size 128m;\n\
               server {{\n\
                 listen {address} backlog=4096{};\n\
                 location = /pub {{ nchan_publisher; nchan_channel_id room; nchan_message_buffer_length 1000; }}\n\
                 location = /sub {{ nchan_subscriber eventsource; nchan_channel_id room;\n\
                   nchan_subscriber_first_message newest; }}\n\
               }}\n\
             }}\n",
            nchan_module.display(),
            if *nginx_workers > 1 { " reuseport" } else { "" },
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration)?;
        let mut command = Command::new(nginx);
        command.arg("-p").arg(folder.path()).arg("-c").arg(file);
        Ok(command)
    })?;
    let bytes = scenario.payload_bytes;
    Ok(Peer {
        name: format!("nginx + nchan, {nginx_workers} worker{}", if *nginx_workers > 1 { "s" } else { "" }),
        version,
        target: Target { address: running.address, path: "/sub".to_owned(), headers: Vec::new(), ids: Ids::Numbers },
        publish: Arc::new(move |stamp: Stamp<'_>| http::post("/pub", &[], &payload(stamp, bytes))),
        publishers: 1,
        pids: vec![running.child.id()],
        started: Some(Box::new(running)),
    })
}
