# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Sourced after lib.sh: nginx with a directory that takes PUT and DELETE.

# nginx_conf PORT DIRECTIVE...: the configuration of a server with an empty directory, $LOGS/web/nginx.conf
nginx_conf() {
	local port=$1
	shift
	mkdir -p "$LOGS/web/files" "$LOGS/web/body"
	chown -R nobody "$LOGS/web"
	cat >"$LOGS/web/nginx.conf" <<-END
		daemon off;
		user nobody nogroup;
		worker_processes 2;
		pid $LOGS/web/pid;
		error_log stderr;
		events { worker_connections 512; }
		http {
			access_log off;
			client_body_temp_path $LOGS/web/body;
			proxy_temp_path $LOGS/web/proxy;
			fastcgi_temp_path $LOGS/web/fastcgi;
			uwsgi_temp_path $LOGS/web/uwsgi;
			scgi_temp_path $LOGS/web/scgi;
			keepalive_requests 1000000;
			$(printf '%s;\n' "$@")
			server {
				listen $port;
				root $LOGS/web/files;
				location / { dav_methods PUT DELETE; client_max_body_size 1m; }
			}
		}
	END
	# shellcheck disable=SC2034 # for who sources this
	NGINX=(nginx -e stderr -c "$LOGS/web/nginx.conf")
}
