/** The pages for people, as a browser shows them: complete, without errors, from this server alone. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { TempServer } from '../support/temp-server.ts'
import { browserObstacle, launchBrowser } from './chromium.ts'

const obstacle = browserObstacle()

if (obstacle !== undefined) {
  console.warn(`the pages are not tested in a browser: ${obstacle}`)
  it('has said why the pages are not tested', () => {
    expect(obstacle).toMatch(/\S/)
  })
} else {
  describe('pages', () => {
    let server: TempServer

    beforeAll(async () => {
      server = await TempServer.start('docs')
    })
    afterAll(() => server.close())

    it.each([
      ['/docs', 'desktop', { width: 1280, height: 900 }],
      ['/docs', 'phone', { width: 390, height: 800 }],
      ['/problems/topic-not-found', 'desktop', { width: 1280, height: 900 }],
    ])('%s on a %s asks nobody else, reports no error, and fits', async (path, _, viewport) => {
      const browser = await launchBrowser()
      try {
        const page = await browser.newPage({ viewport })
        const errors: string[] = []
        const foreign: string[] = []
        page.on('pageerror', (error) => errors.push(String(error)))
        page.on('console', (message) => {
          if (message.type() === 'error') errors.push(message.text())
        })
        page.on('request', (request) => {
          if (!request.url().startsWith(server.baseUrl)) foreign.push(request.url())
        })
        await page.goto(`${server.baseUrl}${path}`, { waitUntil: 'networkidle' })
        await eventually('the page has its text', async () => {
          const length = await page.evaluate('document.body.innerText.length')
          return Number(length) > 100 || undefined
        })
        expect(errors).toEqual([])
        expect(foreign).toEqual([])
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(
          viewport.width,
        )
        const shots = process.env['TEST_SCREENSHOTS']
        if (shots !== undefined) {
          const name = `${path.replaceAll('/', '_')}-${viewport.width}.png`
          await page.screenshot({ path: `${shots}/${name}`, fullPage: true })
        }
      } finally {
        await browser.close()
      }
    })
  })
}
