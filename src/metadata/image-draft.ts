/** The next image in the making: notes what changes, and copies no more than that holds. */
import type { TopicId, TopicName } from '../core/ids.ts'
import type {
  ControllerImage,
  MemberImage,
  MetadataImage,
  NodeImage,
  TopicImage,
} from './metadata-image.ts'
import { SharedMap } from './shared-map.ts'

/** An image as it is built here: its large maps share their memory with those before and after. */
export interface SharedImage extends MetadataImage {
  readonly topics: SharedMap<TopicName, TopicImage>
  readonly topicsById: SharedMap<TopicId, TopicImage>
  readonly removedTopics: SharedMap<TopicId, number>
}

export const EMPTY_IMAGE: SharedImage = {
  clusterId: '',
  version: 0,
  topics: SharedMap.empty(),
  topicsById: SharedMap.empty(),
  nodes: new Map(),
  members: new Map(),
  controller: undefined,
  removedTopics: SharedMap.empty(),
}

/** undefined stands for what is gone. */
export class ImageDraft {
  readonly #before: SharedImage
  readonly #topics = new Map<TopicName, TopicImage | undefined>()
  readonly #topicsById = new Map<TopicId, TopicImage | undefined>()
  readonly #removedTopics = new Map<TopicId, number | undefined>()
  #nodes: Map<number, NodeImage> | undefined
  #members: Map<number, MemberImage> | undefined
  #clusterId: string
  #controller: ControllerImage | undefined

  constructor(before: SharedImage) {
    this.#before = before
    this.#clusterId = before.clusterId
    this.#controller = before.controller
  }

  setClusterId(clusterId: string): void {
    this.#clusterId = clusterId
  }

  setController(controller: ControllerImage | undefined): void {
    this.#controller = controller
  }

  setNode(id: number, node: NodeImage | undefined): void {
    this.#nodes ??= new Map(this.#before.nodes)
    if (node === undefined) this.#nodes.delete(id)
    else this.#nodes.set(id, node)
  }

  setMember(id: number, member: MemberImage | undefined): void {
    this.#members ??= new Map(this.#before.members)
    if (member === undefined) this.#members.delete(id)
    else this.#members.set(id, member)
  }

  setRemovedTopic(id: TopicId, removedAtMs: number | undefined): void {
    this.#removedTopics.set(id, removedAtMs)
  }

  /** A topic of another id that had the name is gone. */
  setTopic(name: TopicName, topic: TopicImage | undefined): void {
    const before = this.#before.topics.get(name)
    if (before !== undefined) this.#topicsById.set(before.id, undefined)
    if (topic !== undefined) this.#topicsById.set(topic.id, topic)
    this.#topics.set(name, topic)
  }

  image(version: number): SharedImage {
    const { topics, topicsById, nodes, members, removedTopics } = this.#before
    return {
      clusterId: this.#clusterId,
      version,
      topics: this.#topics.size === 0 ? topics : topics.with(this.#topics),
      topicsById: this.#topicsById.size === 0 ? topicsById : topicsById.with(this.#topicsById),
      nodes: this.#nodes ?? nodes,
      members: this.#members ?? members,
      controller: this.#controller,
      removedTopics:
        this.#removedTopics.size === 0 ? removedTopics : removedTopics.with(this.#removedTopics),
    }
  }
}
