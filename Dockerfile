# Builds with everything, runs with what is needed.
FROM node:26-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# The image has its Node.js already: the npm package `node` need not fetch another.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN node node_modules/typescript7/bin/tsc -p tsconfig.build.json \
 && npm ci --ignore-scripts --omit=dev

# The metadata of a cluster, for `docker compose`; production wants a newer etcd, see docs/operations.md.
FROM debian:bookworm-slim AS etcd
RUN apt-get update \
 && apt-get install -y --no-install-recommends etcd-server etcd-client \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir /data && chown nobody:nogroup /data
USER nobody
VOLUME /data
ENTRYPOINT ["etcd"]

# One address for all fronts.
FROM debian:bookworm-slim AS proxy
RUN apt-get update \
 && apt-get install -y --no-install-recommends haproxy \
 && rm -rf /var/lib/apt/lists/*
COPY deploy/haproxy.cfg /etc/haproxy/haproxy.cfg
USER haproxy
ENTRYPOINT ["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]

FROM node:26-bookworm-slim AS curlew
ENV NODE_ENV=production \
    CURLEW_HOST=0.0.0.0 \
    CURLEW_DATA=/data
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
COPY bin ./bin
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
# 8080 for clients, 9001 for other nodes, 9101 for operators.
EXPOSE 8080 9001 9101
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --start-interval=1s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.HEALTH_PORT ?? process.env.CURLEW_PORT ?? 8080}/readyz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node.js as the first process: Curlew handles SIGTERM itself and starts no children.
ENTRYPOINT ["node", "bin/curlew.js"]
CMD ["standalone"]
