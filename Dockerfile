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

FROM node:26-bookworm-slim
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
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --start-interval=1s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.CURLEW_PORT ?? 8080}/readyz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node.js as the first process: Curlew handles SIGTERM itself and starts no children.
ENTRYPOINT ["node", "bin/curlew.js"]
CMD ["standalone"]
